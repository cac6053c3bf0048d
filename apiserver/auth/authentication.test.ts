// Everybody who may come in, over real connections: OpenID Connect with a provider beside the server, bootstrap tokens,
// tokens kept in Secrets, proxies in front, WebSocket subprotocols, and who must stay out.
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { issueAuthority, issueCertificate } from './issue.ts';
import { createTokenSigner } from './jwt.ts';
import { keyIdOf, signJws } from './jws.ts';
import { identityOfClaims } from './oidc-claims.ts';
import { configOfFlags, parseAuthenticationConfig } from './oidc-config.ts';
import type { KeyPair } from './pki.ts';

const NS = '/api/v1/namespaces/default';
const who = async (server: TestServer, options: Parameters<TestServer['call']>[2]) => {
  const answer = await server.call('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
    ...options,
    body: {},
  });
  return answer.code === 201 ? answer.body.status.userInfo : answer.code;
};
const review = async (server: TestServer, token: string, audiences?: string[]) =>
  (await server.call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { body: { spec: { token, audiences } } }))
    .body.status;

describe('OpenID Connect', () => {
  let provider: Server;
  let url = '';
  let authority: KeyPair;
  const keys: { publicKey: KeyObject; privateKey: KeyObject }[] = [];
  let fetches = 0;
  let dir = '';

  beforeAll(async () => {
    const nowMs = Date.now();
    authority = await issueAuthority({ commonName: 'provider-ca', days: 1, nowMs, serial: randomBytes(16) });
    const serving = await issueCertificate(
      { commonName: 'provider', usage: 'server', sans: ['127.0.0.1'], days: 1 },
      authority,
      nowMs,
      randomBytes(16),
    );
    keys.push(generateKeyPairSync('rsa', { modulusLength: 2048 }), generateKeyPairSync('ec', { namedCurve: 'P-384' }));
    provider = createServer({ key: serving.keyPem, cert: serving.certificatePem }, (asked, answer) => {
      if (asked.url === '/.well-known/openid-configuration') {
        answer.end(JSON.stringify({ issuer: url, jwks_uri: `${url}/keys` }));
        return;
      }
      fetches++;
      const shown = keys.slice(0, fetches > 1 ? 2 : 1);
      answer.end(
        JSON.stringify({
          keys: shown.map(({ publicKey }) => ({
            ...publicKey.export({ format: 'jwk' }),
            kid: keyIdOf(publicKey),
            use: 'sig',
          })),
        }),
      );
    });
    await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
    url = `https://127.0.0.1:${(provider.address() as AddressInfo).port}`;
    dir = mkdtempSync(join(tmpdir(), 'sampan-tokens-'));
  });
  afterAll(async () => {
    await new Promise((resolve) => provider.close(resolve));
    rmSync(dir, { recursive: true, force: true });
  });

  const soon = () => Math.floor(Date.now() / 1000) + 600;
  const idToken = (claims: object, key = 0) => {
    const { privateKey, publicKey } = keys[key] as (typeof keys)[number];
    return signJws({ iss: url, aud: 'sampan', sub: 'vera', exp: soon(), ...claims }, privateKey, keyIdOf(publicKey));
  };

  it('takes ID tokens with the claims that the flags name', async () => {
    const tokens = join(dir, 'tokens');
    writeFileSync(tokens, 'fixed-token,max,7,"devs,ops"\n');
    const server = await startTestServer({
      authentication: {
        tokenAuthFile: tokens,
        oidc: configOfFlags({
          issuerUrl: url,
          clientId: 'sampan',
          groupsClaim: 'groups',
          groupsPrefix: 'oidc:',
          requiredClaims: ['hd=example.com'],
          caPem: authority.certificatePem,
          signingAlgorithms: ['RS256', 'ES384'],
        }) as never,
      },
    });
    const hd = 'example.com';
    expect(await who(server, { token: idToken({ hd, groups: ['a', 'b'], jti: 'x' }) })).toEqual({
      username: `${url}#vera`,
      groups: ['oidc:a', 'oidc:b', 'system:authenticated'],
      extra: { 'authentication.kubernetes.io/credential-id': ['JTI=x'] },
    });
    expect(fetches).toBe(1);
    const refused: [string, RegExp][] = [
      [idToken({ hd, exp: soon() - 3600 }), /oidc: verify token: oidc: token is expired/],
      [idToken({ hd, aud: 'other' }), /oidc: verify token: oidc: expected audience "sampan" got \["other"\]/],
      [idToken({}), /oidc: required claim hd not present in ID token/],
      [idToken({ hd: 'evil.com' }), /oidc: required claim hd value does not match/],
      [`${idToken({ hd }).slice(0, -4)}AAAA`, /failed to verify id token signature/],
    ];
    for (const [token, error] of refused) {
      expect(await who(server, { token })).toBe(401);
      expect((await review(server, token)).error).toMatch(error);
    }
    // A key that the provider took up later is asked for; not at once, for each token could name a new one.
    expect((await review(server, idToken({ hd }, 1))).error).toMatch(/failed to verify/);
    expect(await who(server, { token: 'fixed-token' })).toEqual({
      username: 'max',
      uid: '7',
      groups: ['devs', 'ops', 'system:authenticated'],
    });
    expect(await review(server, 'fixed-token', ['nobody'])).toEqual({ error: 'invalid bearer token', user: {} });
    await server.stop();
  });

  it('takes the keys that the provider has when the server starts', async () => {
    const server = await startTestServer({
      authentication: {
        config: parseAuthenticationConfig(
          JSON.stringify({
            apiVersion: 'apiserver.config.k8s.io/v1',
            kind: 'AuthenticationConfiguration',
            jwt: [
              {
                issuer: {
                  url,
                  audiences: ['other', 'sampan'],
                  audienceMatchPolicy: 'MatchAny',
                  certificateAuthority: authority.certificatePem,
                },
                claimMappings: { username: { claim: 'email', prefix: '' }, uid: { claim: 'sub' } },
              },
            ],
            anonymous: { enabled: true, conditions: [{ path: '/livez' }] },
          }),
        ),
      },
    });
    expect(await who(server, { token: idToken({ email: 'v@example.com', email_verified: true }, 1) })).toEqual({
      username: 'v@example.com',
      uid: 'vera',
      groups: ['system:authenticated'],
    });
    expect((await review(server, idToken({ email: 'v@example.com', email_verified: false }))).error).toMatch(
      /oidc: email not verified/,
    );
    expect((await server.call('GET', '/livez', { as: null })).code).toBe(200);
    expect((await server.call('GET', '/readyz', { as: null })).code).toBe(401);
    await server.stop();
  });

  it('maps claims with expressions', async () => {
    const jwt = {
      issuer: { url, audiences: ['sampan'], certificateAuthority: authority.certificatePem },
      claimMappings: {
        username: { expression: "'ext:' + claims.sub" },
        groups: { expression: "claims.roles.split(',').map(each, 'role-' + each)" },
        extra: [{ key: 'example.com/tenant', valueExpression: "has(claims.tenant) ? claims.tenant : ''" }],
      },
      claimValidationRules: [{ expression: 'claims.sub.size() > 2', message: 'names have three letters' }],
      userValidationRules: [{ expression: "!user.username.startsWith('ext:system')", message: 'reserved' }],
    };
    const file = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthenticationConfiguration', jwt: [jwt] };
    const { celCompile } = await import('./oidc-expressions.ts');
    const server = await startTestServer({
      authentication: { config: parseAuthenticationConfig(JSON.stringify(file)), compile: celCompile },
    });
    expect(await who(server, { token: idToken({ roles: 'a,b', tenant: 't' }) })).toEqual({
      username: 'ext:vera',
      groups: ['role-a', 'role-b', 'system:authenticated'],
      extra: { 'example.com/tenant': ['t'] },
    });
    const errorOf = async (claims: object) => (await review(server, idToken({ roles: 'a', ...claims }))).error;
    expect(await errorOf({ sub: 'x' })).toMatch(/names have three letters/);
    expect(await errorOf({ sub: 'system:admin' })).toMatch(/reserved/);
    expect(await errorOf({ roles: 7 })).toMatch(/no such overload/);
    await server.stop();
    const email = { ...jwt, claimMappings: { username: { expression: 'claims.email' } } };
    expect(() => identityOfClaims(email, celCompile)).toThrow(/claims.email_verified must be used/);
    const wrong = { ...jwt, claimMappings: { username: { expression: 'claims.sub +' } } };
    expect(() => identityOfClaims(wrong, celCompile)).toThrow(/compilation failed: ERROR: <input>:1/);
  });

  it.each([
    ['jwt[0].issuer.url', { issuer: { url: 'http://x', audiences: ['a'] } }],
    ['jwt[0].issuer.audiences', { issuer: { url: 'https://x', audiences: [] } }],
    ['jwt[0].claimMappings.username.prefix', { claimMappings: { username: { claim: 'sub' } } }],
    ['jwt[0].claimValidationRules[0]', { claimValidationRules: [{}] }],
  ])('says that %s is wrong', (field, change) => {
    const jwt = {
      issuer: { url: 'https://x', audiences: ['a'] },
      claimMappings: { username: { claim: 'sub', prefix: '' } },
      ...change,
    };
    const file = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthenticationConfiguration', jwt: [jwt] };
    expect(() => parseAuthenticationConfig(JSON.stringify(file))).toThrow(field);
  });
});

describe('the cluster', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
    await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
  });
  afterAll(() => server.stop());

  const data = (fields: Record<string, string>) =>
    Object.fromEntries(Object.entries(fields).map(([key, text]) => [key, Buffer.from(text).toString('base64')]));

  it('takes bootstrap tokens until they expire', async () => {
    const put = (id: string, more: Record<string, string>) =>
      server.call('POST', '/api/v1/namespaces/kube-system/secrets', {
        body: {
          metadata: { name: `bootstrap-token-${id}` },
          type: 'bootstrap.kubernetes.io/token',
          data: data({
            'token-id': id,
            'token-secret': '0123456789abcdef',
            'usage-bootstrap-authentication': 'true',
            ...more,
          }),
        },
      });
    await put('aaaaaa', { 'auth-extra-groups': 'system:bootstrappers:workers', expiration: '2100-01-01T00:00:00Z' });
    await put('bbbbbb', { expiration: '2020-01-01T00:00:00Z' });
    await put('cccccc', { 'usage-bootstrap-authentication': 'false' });
    await put('dddddd', { 'auth-extra-groups': 'system:masters' });
    expect(await who(server, { token: 'aaaaaa.0123456789abcdef' })).toEqual({
      username: 'system:bootstrap:aaaaaa',
      groups: ['system:bootstrappers', 'system:bootstrappers:workers', 'system:authenticated'],
    });
    for (const token of [
      'aaaaaa.0123456789abcdee',
      'bbbbbb.0123456789abcdef',
      'cccccc.0123456789abcdef',
      'dddddd.0123456789abcdef',
    ]) {
      expect(await who(server, { token }), token).toBe(401);
    }
  });

  it('takes tokens that a Secret keeps, as long as it keeps them', async () => {
    const { body: account } = await server.call('GET', `${NS}/serviceaccounts/default`);
    const token = createTokenSigner(server.pki.serviceAccountKeyPem).sign({
      iss: 'kubernetes/serviceaccount',
      sub: 'system:serviceaccount:default:default',
      'kubernetes.io/serviceaccount/namespace': 'default',
      'kubernetes.io/serviceaccount/secret.name': 'kept',
      'kubernetes.io/serviceaccount/service-account.name': 'default',
      'kubernetes.io/serviceaccount/service-account.uid': account.metadata.uid,
    });
    expect((await review(server, token)).error).toBe(
      '[invalid bearer token, service account token has been invalidated]',
    );
    await server.call('POST', `${NS}/secrets`, {
      body: {
        metadata: { name: 'kept', annotations: { 'kubernetes.io/service-account.name': 'default' } },
        type: 'kubernetes.io/service-account-token',
        data: data({ token }),
      },
    });
    expect(await who(server, { token })).toMatchObject({ username: 'system:serviceaccount:default:default' });
    await server.call('DELETE', `${NS}/secrets/kept`);
    await expect.poll(() => who(server, { token })).toBe(401);
  });

  it('binds tokens to what they name, for the audiences that they name', async () => {
    await server.call('POST', '/api/v1/nodes', { body: { metadata: { name: 'bound' } } });
    const create = (spec: object) => server.call('POST', `${NS}/serviceaccounts/default/token`, { body: { spec } });
    const node = { apiVersion: 'v1', kind: 'Node', name: 'bound' };
    const { token } = (await create({ boundObjectRef: node, audiences: ['vault'] })).body.status;
    expect(await who(server, { token })).toBe(401);
    expect((await review(server, token)).error).toBe(
      '[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["https://kubernetes.default.svc.cluster.local"]]',
    );
    expect(await review(server, token, ['vault', 'x'])).toMatchObject({
      authenticated: true,
      audiences: ['vault'],
      user: { extra: { 'authentication.kubernetes.io/node-name': ['bound'] } },
    });
    await server.call('DELETE', '/api/v1/nodes/bound');
    await expect.poll(async () => (await review(server, token, ['vault'])).authenticated).toBe(undefined);
    const wrong = await create({ boundObjectRef: { apiVersion: 'v1', kind: 'ConfigMap', name: 'x' } });
    expect(wrong.body.message).toBe('cannot bind token to object of type /v1, Kind=ConfigMap');
    const gone = await create({ boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'nobody' } });
    expect(gone.body.message).toBe('pods "nobody" not found');
  });

  it('lets tokens of pods live longer than it says, as upstream does', async () => {
    const { body } = await server.call('POST', `${NS}/serviceaccounts/default/token`, {
      body: { spec: { expirationSeconds: 3607 } },
    });
    const claims = JSON.parse(Buffer.from(body.status.token.split('.')[1], 'base64url').toString());
    expect(claims.exp - claims.iat).toBe(365 * 24 * 3600);
    expect(claims['kubernetes.io'].warnafter - claims.iat).toBe(3607);
    expect(Date.parse(body.status.expirationTimestamp) / 1000 - claims.iat).toBe(3607);
  });

  it('serves what others need to check its tokens', async () => {
    const discovery = (await server.call('GET', '/.well-known/openid-configuration')).body;
    expect(discovery).toMatchObject({ id_token_signing_alg_values_supported: ['ES256'] });
    const jwks = (await server.call('GET', '/openid/v1/jwks')).body;
    expect(jwks.keys).toMatchObject([{ kty: 'EC', crv: 'P-256', use: 'sig', alg: 'ES256' }]);
  });

  it('trusts a proxy in front that shows its certificate, and nobody else', async () => {
    const headers = {
      'x-remote-user': 'vera',
      'x-remote-group': 'devs',
      'x-remote-extra-acme.com%2fproject': 'one',
    };
    expect(await who(server, { as: server.pki.frontProxyClient, headers })).toEqual({
      username: 'vera',
      groups: ['devs', 'system:authenticated'],
      extra: { 'acme.com/project': ['one'] },
    });
    // Without headers the proxy is nobody, and a user's headers are worth nothing.
    expect((await server.call('GET', '/api/v1/pods', { as: server.pki.frontProxyClient })).body.message).toMatch(
      /User "system:anonymous"/,
    );
    expect(await who(server, { headers })).toMatchObject({ username: 'kubernetes-admin' });
    expect(await who(server, { headers, as: null })).toBe(403);
    const facts = (
      await server.call('GET', '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication')
    ).body.data;
    expect(Object.keys(facts).sort()).toEqual([
      'client-ca-file',
      'requestheader-allowed-names',
      'requestheader-client-ca-file',
      'requestheader-extra-headers-prefix',
      'requestheader-group-headers',
      'requestheader-username-headers',
    ]);
    expect(facts['requestheader-allowed-names']).toBe('["front-proxy-client"]');
  });

  it('takes no certificate of others, and none that is not for clients', async () => {
    const nowMs = Date.now();
    const stranger = await issueAuthority({ commonName: 'sampan-ca', days: 1, nowMs, serial: randomBytes(16) });
    const spec = { commonName: 'admin', organization: 'system:masters', usage: 'client', sans: [], days: 1 } as const;
    const forged = await issueCertificate(spec, stranger, nowMs, randomBytes(16));
    const unauthorized = { code: 401, body: { reason: 'Unauthorized' } };
    expect(await server.call('GET', '/version', { as: forged })).toMatchObject(unauthorized);
    const { serving } = server.pki.nodes['node-a'] as { serving: KeyPair };
    expect(await server.call('GET', '/version', { as: serving })).toMatchObject(unauthorized);
    // Nor one that the CA of the proxies has signed for somebody else.
    const read = (name: string) => readFileSync(join(server.dir, 'pki', name), 'utf8');
    const proxies = { certificatePem: read('front-proxy-ca.crt'), keyPem: read('front-proxy-ca.key') };
    const admin = await issueCertificate(spec, proxies, nowMs, randomBytes(16));
    const headers = { 'x-remote-user': 'root', 'x-remote-group': 'system:masters' };
    const answer = await server.call('GET', '/api/v1/pods', { as: admin, headers });
    expect(answer.body.message).toMatch(/User "system:anonymous" cannot list/);
  });

  it('takes a token as a WebSocket subprotocol', async () => {
    const token = (await server.call('POST', `${NS}/serviceaccounts/default/token`, { body: {} })).body.status.token;
    const open = (protocols: string) =>
      new Promise<string>((resolve, reject) => {
        const sent = request({
          host: '127.0.0.1',
          port: server.port,
          path: `${NS}/pods/x/exec?command=id&stdout=1`,
          ca: server.pki.caPem,
          headers: {
            connection: 'Upgrade',
            upgrade: 'websocket',
            'sec-websocket-version': '13',
            'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
            'sec-websocket-protocol': protocols,
          },
        });
        sent.on('error', reject);
        sent.on('response', (answer) => {
          let text = '';
          answer.on('data', (chunk) => (text += chunk));
          answer.on('end', () => resolve(JSON.parse(text).message));
        });
        sent.end();
      });
    const encoded = `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`;
    expect(await open(`${encoded}, v4.channel.k8s.io`)).toMatch(/User "system:serviceaccount:default:default" cannot/);
    expect(await open(encoded)).toBe('Unauthorized');
    expect(await open(`${encoded}x, v4.channel.k8s.io`)).toBe('Unauthorized');
  });
});

it('keys can be rotated, and nobody need come in anonymously', async () => {
  const old = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = (key: KeyObject, type: 'spki' | 'pkcs8') => key.export({ type, format: 'pem' }) as string;
  const server = await startTestServer({
    authentication: {
      anonymous: false,
      verificationKeyPems: [pem(old.publicKey, 'spki')],
      issuers: ['https://new', 'https://old'],
    },
  });
  await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
  const { body: account } = await server.call('GET', `${NS}/serviceaccounts/default`);
  const now = Math.floor(Date.now() / 1000);
  const token = createTokenSigner(pem(old.privateKey, 'pkcs8')).sign({
    iss: 'https://old',
    sub: 'system:serviceaccount:default:default',
    aud: ['https://old'],
    exp: now + 600,
    iat: now,
    nbf: now,
    jti: 'j',
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'default', uid: account.metadata.uid } },
  });
  expect(await who(server, { token })).toMatchObject({ username: 'system:serviceaccount:default:default' });
  expect((await server.call('GET', '/openid/v1/jwks')).body.keys.map((each: { alg: string }) => each.alg)).toEqual([
    'ES256',
    'RS256',
  ]);
  expect((await server.call('GET', '/livez', { as: null })).code).toBe(401);
  await server.stop();
});
