// A server makes, lists, checks and revokes a team's API keys.
import { StackServerApp } from "@stackframe/js";

const stackServerApp = new StackServerApp({ tokenStore: "memory" });

const team = await stackServerApp.getTeam(process.env.TEAM_ID);

const teamApiKey = await team.createApiKey({
  description: "Admin-provisioned team API key",
  expiresAt: new Date(Date.now() + 30 * 24 * 60 * 60 * 1000), // 30 days
  isPublic: false,
});
console.log(`made "${teamApiKey.description}" for ${team.displayName}`);

const owner = await stackServerApp.getTeam({ apiKey: teamApiKey.value });
console.log(`it is ${owner.displayName}'s`);

const teamApiKeys = await team.listApiKeys();
await teamApiKeys.find((key) => key.id === teamApiKey.id).revoke();

const listed = (await team.listApiKeys()).find((key) => key.id === teamApiKey.id);
console.log(`${listed.description}: ${listed.whyInvalid()} at ${listed.manuallyRevokedAt.toISOString()}`);
process.exit(listed.isValid() ? 1 : 0);
