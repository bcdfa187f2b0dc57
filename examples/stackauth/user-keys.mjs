// A server makes, lists, checks and revokes a user's API keys.
import { StackServerApp } from "@stackframe/js";

const stackServerApp = new StackServerApp({ tokenStore: "memory" });

const user = await stackServerApp.getServerUserById(process.env.USER_ID);

const apiKey = await user.createApiKey({
  description: "Admin-provisioned API key",
  expiresAt: new Date(Date.now() + 30 * 24 * 60 * 60 * 1000), // 30 days
  isPublic: false,
});
console.log(`made "${apiKey.description}"; its value ends in ${apiKey.value.slice(-4)} and is not shown again`);

const owner = await stackServerApp.getUser({ apiKey: apiKey.value });
console.log(`it is ${owner.displayName}'s`);

const userApiKeys = await user.listApiKeys();
console.log(`${userApiKeys.length} keys in all`);

const apiKeyToRevoke = userApiKeys.find((key) => key.id === apiKey.id);
if (apiKeyToRevoke) {
  await apiKeyToRevoke.revoke();
}

const revoked = (await user.listApiKeys()).find((key) => key.id === apiKey.id);
if (revoked && revoked.isValid()) {
  throw new Error("a revoked key must not be valid");
}
const reason = revoked ? revoked.whyInvalid() : "not found";
console.log(`API key is invalid: ${reason}`);
console.log(`and it finds ${await stackServerApp.getUser({ apiKey: apiKey.value })}`);
process.exit(0);
