// What the claims of a verified ID token make of its bearer: user name, groups, uid and extras, after the rules that the
// configuration has for claims and users. Messages are upstream's (k8s.io/apiserver oidc). Pure.
import type { Identity } from './identity.ts';
import type { ClaimOrExpression, JwtAuthenticator } from './oidc-config.ts';

export type Claims = Readonly<Record<string, unknown>>;

/** A compiled CEL expression over `claims` or `user`; both throw Errors with upstream's words. */
export interface Expression {
  evaluate(variables: Record<string, unknown>): unknown;
  /** True when it selects `claims.email`, say. */
  uses(path: string): boolean;
}
export type Compile = (text: string, over: 'claims' | 'user', result: 'bool' | 'string' | 'strings') => Expression;

/** Throws an Error whose message says which claim is wrong, never its value. */
export type IdentityOfClaims = (claims: Claims) => Identity;

export function identityOfClaims(config: JwtAuthenticator, compile: Compile): IdentityOfClaims {
  const { claimMappings: mappings, claimValidationRules = [], userValidationRules = [] } = config;
  const over = (text: string | undefined, result: 'bool' | 'string' | 'strings') =>
    text ? compile(text, 'claims', result) : undefined;
  const username = over(mappings.username.expression, 'string');
  const groups = over(mappings.groups?.expression, 'strings');
  const uid = over(mappings.uid?.expression, 'string');
  const extras = (mappings.extra ?? []).map(({ key, valueExpression }) => ({
    key,
    value: compile(valueExpression, 'claims', 'strings'),
  }));
  const claimRules = claimValidationRules.map((rule) => ({ ...rule, holds: over(rule.expression, 'bool') }));
  const userRules = userValidationRules.map((rule) => ({ ...rule, holds: compile(rule.expression, 'user', 'bool') }));
  const looking = [username, ...extras.map((each) => each.value), ...claimRules.map((each) => each.holds)];
  if (username?.uses('claims.email') && !looking.some((each) => each?.uses('claims.email_verified'))) {
    throw new Error(
      'claimMappings.username.expression: claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression',
    );
  }

  return (claims) => {
    const variables = { claims };
    for (const { claim, requiredValue, holds, expression: text, message } of claimRules) {
      if (claim) checkRequired(claims, claim, requiredValue ?? '');
      else if (holds && holds.evaluate(variables) !== true) {
        throw new Error(
          `oidc: error evaluating claim validation expression: validation expression '${text}' failed: ${message ?? ''}`,
        );
      }
    }
    const name = username
      ? stringResult(username.evaluate(variables), 'username')
      : usernameClaim(claims, mappings.username);
    if (name === '') throw new Error('oidc: username claim value is empty');
    const user: Identity = {
      name,
      groups: groups ? listResult(groups.evaluate(variables), 'groups') : groupsClaim(claims, mappings.groups),
    };
    const id = uid ? stringResult(uid.evaluate(variables), 'uid') : uidClaim(claims, mappings.uid);
    if (id) user.uid = id;
    const extra: Record<string, string[]> = {};
    for (const { key, value } of extras) {
      const values = listResult(value.evaluate(variables), `extra ${key}`).filter((each) => each !== '');
      if (values.length > 0) extra[key] = values;
    }
    if (typeof claims.jti === 'string' && claims.jti !== '') {
      extra['authentication.kubernetes.io/credential-id'] = [`JTI=${claims.jti}`];
    }
    if (Object.keys(extra).length > 0) user.extra = extra;
    for (const { holds, expression: text, message } of userRules) {
      const seen = { username: user.name, uid: user.uid ?? '', groups: user.groups, extra };
      if (holds.evaluate({ user: seen }) !== true) {
        throw new Error(
          `oidc: error evaluating user info validation rule: validation expression '${text}' failed: ${message ?? ''}`,
        );
      }
    }
    return user;
  };
}

function checkRequired(claims: Claims, claim: string, value: string): void {
  const found = claims[claim];
  if (found === undefined) throw new Error(`oidc: required claim ${claim} not present in ID token`);
  if (typeof found !== 'string') throw new Error(`oidc: parse claim ${claim}: not a string`);
  if (found !== value) throw new Error(`oidc: required claim ${claim} value does not match`);
}

function usernameClaim(claims: Claims, mapping: ClaimOrExpression): string {
  const { claim = '', prefix = '' } = mapping;
  const value = claims[claim];
  const quoted = JSON.stringify(claim);
  if (value === undefined) throw new Error(`oidc: parse username claims ${quoted}: claim not present`);
  if (typeof value !== 'string') throw new Error(`oidc: parse username claims ${quoted}: not a string`);
  if (claim === 'email' && claims.email_verified !== undefined) {
    if (typeof claims.email_verified !== 'boolean')
      throw new Error("oidc: parse 'email_verified' claim: not a boolean");
    if (!claims.email_verified) throw new Error('oidc: email not verified');
  }
  return prefix + value;
}

function groupsClaim(claims: Claims, mapping: ClaimOrExpression | undefined): string[] {
  const { claim = '', prefix = '' } = mapping ?? {};
  const value = claim === '' ? undefined : claims[claim];
  if (value === undefined) return [];
  const list = typeof value === 'string' ? [value] : value;
  if (!Array.isArray(list) || !list.every((each) => typeof each === 'string')) {
    throw new Error(`oidc: parse groups claim ${JSON.stringify(claim)}: not a string or a list of strings`);
  }
  return (list as string[]).map((each) => prefix + each);
}

function uidClaim(claims: Claims, mapping: ClaimOrExpression | undefined): string {
  const claim = mapping?.claim;
  if (!claim) return '';
  const value = claims[claim];
  if (typeof value !== 'string') throw new Error(`oidc: error parsing uid claim ${JSON.stringify(claim)}`);
  return value;
}

function stringResult(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw new Error(`oidc: error evaluating ${what} claim expression: expression must return a string`);
}

function listResult(value: unknown, what: string): string[] {
  if (value === null || value === undefined || value === '') return [];
  if (typeof value === 'string') return [value];
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value as string[];
  throw new Error(
    `oidc: error evaluating ${what} claim expression: expression must return a string or a list of strings`,
  );
}
