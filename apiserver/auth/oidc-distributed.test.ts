import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import type { Clock } from '../../lib/clock.ts';
import { keyIdOf, signJws } from './jws.ts';
import { oidcAuthenticator } from './oidc.ts';

const URL = 'https://issuer';
const AUDIENCES = ['sampan'];
const OTHER = 'https://groups.example.com';
const ENDPOINT = `${OTHER}/of/vera`;
let nowMs = Date.parse('2026-01-01T00:00:00Z');
const clock = { now: () => nowMs, monotonic: () => nowMs } as Clock;
const keys = Object.fromEntries([URL, OTHER].map((each) => [each, generateKeyPairSync('ec', { namedCurve: 'P-256' })]));

function sign(issuer: string, claims: object, by = issuer): string {
  const { privateKey, publicKey } = keys[by] as (typeof keys)[string];
  const standard = { iss: issuer, aud: 'sampan', sub: 'vera', exp: nowMs / 1000 + 600 };
  return signJws({ ...standard, ...claims }, privateKey, keyIdOf(publicKey));
}

/** What the endpoint answers, and what it was asked with. */
let answer = '';
let tokens: (string | undefined)[] = [];

async function fetch(url: string, token?: string): Promise<string> {
  const issuer = [URL, OTHER].find((each) => url.startsWith(each)) as string;
  if (url.endsWith('/.well-known/openid-configuration')) return JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` });
  if (url === ENDPOINT) {
    tokens.push(token);
    if (answer === '') throw new Error(`${url}: 404 Not Found`);
    return answer;
  }
  const { publicKey } = keys[issuer] as (typeof keys)[string];
  return JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: keyIdOf(publicKey), use: 'sig' }] });
}

const sources = { src1: { endpoint: ENDPOINT, access_token: 'groups-token' } };
const distributed = { _claim_names: { groups: 'src1' }, _claim_sources: sources };

function make() {
  tokens = [];
  return oidcAuthenticator(
    {
      issuer: { url: URL, audiences: ['sampan'] },
      claimMappings: { username: { claim: 'sub', prefix: '' }, groups: { claim: 'groups', prefix: 'g:' } },
    },
    { serverAudiences: ['sampan'], clock, fetch },
  );
}

const groupsOf = (found: unknown) => (found as { user: { groups: string[] } }).user.groups;

it('takes groups from the endpoint that the token names, and asks again when some time has passed', async () => {
  const authenticator = make();
  const token = sign(URL, distributed);
  answer = sign(OTHER, { groups: ['a', 'b'] });
  expect(groupsOf(await authenticator.authenticate(token, AUDIENCES))).toEqual(['g:a', 'g:b']);
  expect(tokens).toEqual(['groups-token']);
  answer = sign(OTHER, { groups: ['c'] });
  expect(groupsOf(await authenticator.authenticate(token, AUDIENCES))).toEqual(['g:a', 'g:b']);
  nowMs += 11_000;
  expect(groupsOf(await authenticator.authenticate(token, AUDIENCES))).toEqual(['g:c']);
  // What the token says itself needs no asking.
  expect(groupsOf(await authenticator.authenticate(sign(URL, { ...distributed, groups: 'own' }), AUDIENCES))).toEqual([
    'g:own',
  ]);
  // An aggregated claim, and one that is about something else.
  const others = [{ _claim_sources: { src1: { JWT: 'x' } } }, { _claim_names: { email: 'src1' } }];
  for (const each of others) {
    expect(groupsOf(await authenticator.authenticate(sign(URL, { ...distributed, ...each }), AUDIENCES))).toEqual([]);
  }
  expect(tokens).toHaveLength(2);
});

it.each<[string, object, () => string, string]>([
  ['without sources', { _claim_sources: undefined }, () => '', 'oidc: no claim sources'],
  [
    'whose source is not there',
    { _claim_sources: {} },
    () => '',
    'id token _claim_names contained a source src1 missing in _claims_sources',
  ],
  [
    'whose endpoint does not answer',
    {},
    () => '',
    `while getting distributed claim "groups": ${ENDPOINT}: 404 Not Found`,
  ],
  [
    'whose endpoint answers nonsense',
    {},
    () => 'x',
    `getting untrusted issuer from endpoint ${ENDPOINT} failed for claim "groups": malformed token`,
  ],
  [
    'whose endpoint answers for another',
    {},
    () => sign(OTHER, { groups: ['a'], aud: 'x' }),
    'verify distributed claim token: oidc: expected audience "sampan" got ["x"]',
  ],
  [
    'whose answer nobody signed',
    {},
    () => sign(OTHER, { groups: ['a'] }, URL),
    'verify distributed claim token: failed to verify signature: failed to verify id token signature',
  ],
  [
    'whose answer has no groups',
    {},
    () => sign(OTHER, {}),
    `jwt returned by distributed claim endpoint "${ENDPOINT}" did not contain claim: groups`,
  ],
])('refuses a token %s', async (_name, claims, answers, why) => {
  answer = answers();
  expect(await make().authenticate(sign(URL, { ...distributed, ...claims }), AUDIENCES)).toMatchObject({
    ok: false,
    error: `oidc: could not expand distributed claims: ${why}`,
  });
});
