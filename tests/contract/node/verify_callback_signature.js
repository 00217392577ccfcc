// The function is the one of the documented API, word for word; below it, what a receiver does around it.
const crypto = require('crypto');

function verifyCallbackSignature(body, signature, secret) {
  const jsonString = JSON.stringify(body);
  const expectedSig = crypto
    .createHmac('sha256', secret)
    .update(jsonString)
    .digest('hex');
  return crypto.timingSafeEqual(
    Buffer.from(signature),
    Buffer.from(expectedSig)
  );
}

// Usage: node verify_callback_signature.js <signature> <secret>, the raw body on standard input.
const [signature, callbackSecret] = process.argv.slice(2);
const callbackBody = JSON.parse(require('fs').readFileSync(0, 'utf8'));
process.stdout.write(String(verifyCallbackSignature(callbackBody, signature, callbackSecret)));
