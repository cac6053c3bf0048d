// Tokens of --token-auth-file: lines `token,user,uid,"group1,group2"`.
import type { Identity } from './identity.ts';
import { forServerOnly, hashToken, type TokenAuthenticator } from './token-authenticator.ts';

export function staticTokens(text: string, serverAudiences: readonly string[]): TokenAuthenticator {
  const tokens = parseStaticTokens(text);
  return forServerOnly(serverAudiences, (token) => tokens.get(hashToken(token)));
}

/** By the token's hash; throws with the line number on a malformed line, without its text: it may hold a token. */
export function parseStaticTokens(text: string): ReadonlyMap<string, Identity> {
  const tokens = new Map<string, Identity>();
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '' || line.startsWith('#')) return;
    const match = /^([^,]+),([^,]+),([^,]*)(?:,"?([^"]*)"?)?\s*$/.exec(line);
    if (!match) throw new Error(`token file line ${index + 1}: expected token,user,uid[,"group1,group2"]`);
    const [, token = '', name = '', uid = '', groups = ''] = match;
    tokens.set(hashToken(token.trim()), {
      name: name.trim(),
      ...(uid.trim() && { uid: uid.trim() }),
      groups: groups
        .split(',')
        .map((group) => group.trim())
        .filter((group) => group !== ''),
    });
  });
  return tokens;
}
