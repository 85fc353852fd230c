// A real OpenID provider for the tests: npm oidc-provider 9.13.3, Node 20 or later.
// Environment: IDP_PORT (0 for a free one), IDP_AUDIENCE (model-registry), IDP_TTL (300), IDP_ELSEWHERE (where a
// redirect leads), IDP_KEYS (a folder whose rs256.pem, es256.pem and eddsa.pem become generation 1, so that a test
// can sign tokens of its own with this issuer's keys), IDP_TLS (a folder with key.pem and cert.pem, to serve https).
import http from 'node:http';
import https from 'node:https';
import { generateKeyPairSync, createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

let issuer;
const audience = process.env.IDP_AUDIENCE ?? 'model-registry';
const RESOURCE = `urn:${audience}`;               // RFC 8707 wants an absolute URI; `aud` itself may be any string
const scope = 'model:read model:write model:admin';

// ---- keys: a list of generations; the last one published, `signing` is the one that signs
let gen = 0;
const mk = (alg, type, opts) => {
  const dir = gen === 1 && process.env.IDP_KEYS;
  const key = dir ? createPrivateKey(readFileSync(`${dir}/${alg.toLowerCase()}.pem`)) : generateKeyPairSync(type, opts).privateKey;
  const jwk = key.export({ format: 'jwk' });
  return { ...jwk, alg, use: 'sig', kid: `${alg.toLowerCase()}-${gen}` };
};
const generation = () => {
  gen += 1;
  return { n: gen, keys: [
    mk('RS256', 'rsa', { modulusLength: 2048 }),
    mk('ES256', 'ec', { namedCurve: 'P-256' }),
    mk('EdDSA', 'ed25519', {}),
  ] };
};
let published = [generation()];
let signing = published[0];

// ---- clients: id picks the signature algorithm and the shape, secret is "secret"
const client = (client_id, sc = scope) => ({
  client_id, client_secret: 'secret', scope: sc,
  grant_types: ['client_credentials'], response_types: [], redirect_uris: [],
  token_endpoint_auth_method: 'client_secret_post',
});
const clients = ['ci-rs256', 'ci-es256', 'ci-eddsa'].map((c) => client(c))
  .concat(client('reader-rs256', 'model:read'), client('other-aud-rs256'));
const algOf = { rs256: 'RS256', es256: 'ES256', eddsa: 'EdDSA' };

const build = () => {
  const p = new Provider(issuer, {
    clients,
    jwks: { keys: published.flatMap((g) => g.keys) },
    scopes: scope.split(' '),
    ttl: { ClientCredentials: Number(process.env.IDP_TTL ?? 300) },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,            // so that clients need not send `resource`
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, _resource, c) => {
          const alg = algOf[c.clientId.split('-').pop()];
          return {
            scope, audience: c.clientId.startsWith('other-aud') ? 'billing' : audience,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg, kid: signing.keys.find((k) => k.alg === alg).kid } },
          };
        },
      },
    },
    extraTokenClaims: (_ctx, t) => ({ roles: t.clientId === 'reader-rs256' ? ['viewer'] : ['admin'] }),
  });
  p.on('server_error', (_c, e) => console.error(e));
  return p.callback();
};
let app;
const swap = () => { app = build(); return { published: published.map((g) => g.n), signing: signing.n }; };

// ---- POST /_ctl/...: switches for the tests, answered before the provider sees the request
let mode = 'ok'; let hits = { discovery: 0, jwks: 0 };
const ctl = {
  prepublish: () => { published.push(generation()); return swap(); },          // new key visible, old still signs
  switch: () => { signing = published.at(-1); return swap(); },                // new key signs, old still visible
  retire: () => { published = [signing]; return swap(); },                      // old key gone
  stats: () => hits,
};
const modes = ['ok', 'down', 'garbage', 'hang', 'drip', 'huge', 'redirect', 'empty', 'stranger', 'inward'];
const broken = {
  down: (res) => { res.writeHead(503); res.end(); },
  garbage: (res) => res.end('{"keys":[{'),
  hang: () => {},
  drip: (res) => { const t = setInterval(() => res.write(' '), 200); res.on('close', () => clearInterval(t)); },
  // Good but for its size.
  huge: (res) => res.end(JSON.stringify({
    keys: published.flatMap((g) => g.keys).map(({ d, p, q, dp, dq, qi, ...open }) => open), pad: 'x'.repeat(10 << 20),
  })),
  redirect: (res) => { res.writeHead(302, { location: process.env.IDP_ELSEWHERE }); res.end(); },
  empty: (res) => res.end('{"keys":[]}'),
};
const json = (res, status, body) => {
  res.writeHead(status, { 'content-type': 'application/json' });
  res.end(JSON.stringify(body));
};
const tls = process.env.IDP_TLS;
const listener = tls
  ? (handler) => https.createServer({ key: readFileSync(`${tls}/key.pem`), cert: readFileSync(`${tls}/cert.pem`) }, handler)
  : (handler) => http.createServer(handler);
const server = listener((req, res) => {
  const control = /^\/_ctl\/([a-z-]+)$/.exec(req.url);
  if (control && req.method === 'POST') {
    const wanted = control[1].replace(/^mode-/, '');
    if (modes.includes(wanted)) { mode = wanted; return json(res, 200, { mode }); }
    const f = ctl[wanted];
    return json(res, f ? 200 : 404, f ? f() : { error: 'no such switch' });
  }
  if (req.url === '/.well-known/openid-configuration') {
    hits.discovery += 1;
    if (mode === 'stranger') return json(res, 200, { issuer: 'https://idp.example', jwks_uri: `${issuer}/jwks` });
    if (mode === 'inward') return json(res, 200, { issuer, jwks_uri: 'http://10.0.0.1/jwks' });
  }
  if (req.url === '/jwks') {
    hits.jwks += 1;
    if (broken[mode]) return broken[mode](res);
  }
  return app(req, res);
});
server.listen(Number(process.env.IDP_PORT ?? 0), '127.0.0.1', () => {
  issuer = `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
  app = build();
  console.log(`READY ${issuer}`);
});
for (const s of ['SIGTERM', 'SIGINT']) process.on(s, () => { server.closeAllConnections(); server.close(() => process.exit(0)); });
