// Run once by MongoDB's image, on an empty volume: makes the user that MONGO_URL names.
const password = require("fs").readFileSync("/run/secrets/mongo_password", "utf8").trim();
db.getSiblingDB("flickrhub").createUser({
  user: "flickrhub",
  pwd: password,
  roles: [{ role: "readWrite", db: "flickrhub" }],
});
