// MongoDB's health check: makes it a replica set of one the first time, and is content once it takes writes.
// While the image prepares an empty volume, mongod runs without a replica set: any error but the one below is unhealthy.
const password = require("fs").readFileSync("/run/secrets/mongo_root_password", "utf8").trim();
const admin = connect("mongodb://127.0.0.1:27017/admin?directConnection=true");
admin.auth("root", password);
try {
  admin.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  admin.adminCommand({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] } });
}
if (!admin.hello().isWritablePrimary) quit(1);
