// A real OAuth authorization server (oidc-provider) on loopback that approves by itself: it signs in
// the person that it is started with, and grants them one scope. Prints its issuer.
import { createServer } from "node:http";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import Provider from "oidc-provider";

const [person, resource, granted] = process.argv.slice(2);
const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const scopes = ["cdesk:analyst", "cdesk:admin"];

const provider = new Provider(issuer, {
  scopes: ["openid", ...scopes], // a client registers with those that the resource names
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "one" }] },
  cookies: { keys: [randomBytes(16).toString("hex")] },
  pkce: { required: () => true },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  features: {
    registration: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, asked) => {
        if (asked !== resource) throw new Error(`unknown resource ${asked}`);
        return {
          scope: scopes.join(" "),
          audience: resource,
          accessTokenTTL: 600,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        };
      },
    },
  },
});
provider.on("server_error", (_, error) => console.error(error));
for (const kind of ["authorization", "grant", "registration.create"]) {
  provider.on(`${kind}.error`, (_, error) => console.error(kind, error.error_description ?? error));
}

const approve = async (request, response) => {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    return provider.interactionFinished(request, response, { login: { accountId: person } });
  }
  const grant = new provider.Grant({ accountId: person, clientId: params.client_id });
  grant.addOIDCScope(granted);
  grant.addResourceScope(resource, granted);
  const refused = scopes.filter((scope) => scope !== granted).join(" ");
  grant.rejectOIDCScope(refused);
  grant.rejectResourceScope(resource, refused);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
};
const answer = provider.callback();
server.on("request", (request, response) => {
  if (!request.url.startsWith("/interaction/")) return answer(request, response);
  return approve(request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
console.log(issuer);
