// Reads [{token, url, form}] from its input and writes the signature that Twilio's own library expects for each.
const { getExpectedTwilioSignature } = require("twilio");

let text = "";
process.stdin.on("data", (piece) => (text += piece));
process.stdin.on("end", () => {
  const expected = JSON.parse(text).map(({ token, url, form }) => getExpectedTwilioSignature(token, url, form));
  process.stdout.write(JSON.stringify(expected));
});
