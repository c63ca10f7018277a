// The public TypeScript SDK over streamable HTTP: with a token where one is given, else by OAuth from
// discovery. Prints what it was answered, as one JSON object.
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [address, token] = process.argv.slice(2);
const url = new URL(address);
const redirectUrl = "http://127.0.0.1:9/callback"; // never called: the browser below stops there

// What a person's browser does: follows redirects and keeps cookies.
const browse = async (start) => {
  const cookies = new Map();
  let next = start;
  for (let step = 0; step < 10 && !next.href.startsWith(redirectUrl); step += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(next, { redirect: "manual", headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      cookies.set(name, value);
    }
    const location = response.headers.get("location");
    if (!location) throw new Error(`${next} answered ${response.status}: ${await response.text()}`);
    next = new URL(location, next);
  }
  return next.searchParams;
};

const kept = {};
const authProvider = {
  redirectUrl,
  clientMetadata: {
    client_name: "typescript",
    redirect_uris: [redirectUrl],
    grant_types: ["authorization_code"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  codeVerifier: () => kept.verifier,
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  redirectToAuthorization: async (to) => {
    kept.challenge = to.searchParams.get("code_challenge_method");
    kept.resource = to.searchParams.get("resource");
    kept.came = await browse(to);
  },
};
const options = token
  ? { requestInit: { headers: { Authorization: `Bearer ${token}` } } }
  : { authProvider };

let client = new Client({ name: "typescript", version: "1" });
let transport = new StreamableHTTPClientTransport(url, options);
const found = { refused: false };
try {
  await client.connect(transport);
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
  found.refused = true;
  if (!kept.came?.get("code")) throw new Error(`no code: ${kept.came}`);
  await transport.finishAuth(kept.came.get("code"));
  client = new Client({ name: "typescript", version: "1" });
  transport = new StreamableHTTPClientTransport(url, options);
  await client.connect(transport);
}
const call = async (name, given) => {
  const answer = await client.callTool({ name, arguments: given });
  return answer.isError ? answer.content[0].text : answer.structuredContent;
};
found.tools = (await client.listTools()).tools.map((tool) => tool.name);
found.context = await call("get_context", {});
found.logged = await call("log_event", { activity: "cdesk.user_asked", feature_json: {} });
found.ticket = await call("submit_query", { template: "recent_activities" });
found.other = await call("get_context", { customer_id: "bob@example.com" });
found.registered = Boolean(kept.client?.client_id);
found.challenge = kept.challenge ?? null;
found.resource = kept.resource ?? null;
console.log(JSON.stringify(found));
await client.close();
