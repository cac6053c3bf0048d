// Options of an API server that concern who may come in and what they may do, named as kube-apiserver's. One place, for
// `sampan up` and `sampan apiserver` alike; what is wrong with them is told in one line.
import { readFileSync } from 'node:fs';
import { type Command, InvalidArgumentError } from 'commander';
import { configOfFlags, parseAuthenticationConfig } from '../../apiserver/auth/oidc-config.ts';
import type { AuthenticationOptions } from '../../apiserver/authentication.ts';
import { AUTHORIZATION_MODES, type AuthorizationMode } from '../../apiserver/authorization.ts';
import { UserError } from '../user-error.ts';

export interface AccessFlags {
  tokenAuthFile?: string;
  anonymousAuth?: boolean;
  enableBootstrapTokenAuth?: boolean;
  authorizationMode?: AuthorizationMode[];
  authenticationConfig?: string;
  oidcIssuerUrl?: string;
  oidcClientId?: string;
  oidcUsernameClaim?: string;
  oidcUsernamePrefix?: string;
  oidcGroupsClaim?: string;
  oidcGroupsPrefix?: string;
  oidcCaFile?: string;
  oidcRequiredClaim?: string[];
  oidcSigningAlgs?: string[];
  serviceAccountIssuer?: string[];
  apiAudiences?: string[];
  serviceAccountKeyFile?: string[];
  serviceAccountSigningKeyFile?: string;
  serviceAccountExtendTokenExpiration?: boolean;
  serviceAccountMaxTokenExpiration?: number;
}

export interface AccessOptions {
  authentication: AuthenticationOptions;
  authorizationModes?: AuthorizationMode[];
}

export const withAccess = (command: Command): Command =>
  command
    .option('--token-auth-file <file>', 'static tokens: token,user,uid,"group1,group2" per line')
    .option('--anonymous-auth <bool>', 'let requests without credentials in as system:anonymous (default: true)', bool)
    .option('--enable-bootstrap-token-auth <bool>', 'take bootstrap tokens of kube-system (default: true)', bool)
    .option('--authorization-mode <list>', `in order, of ${AUTHORIZATION_MODES.join(', ')} (default: Node,RBAC)`, modes)
    .option(
      '--authentication-config <file>',
      'AuthenticationConfiguration: issuers of JSON Web Tokens, anonymous users',
    )
    .option('--oidc-issuer-url <url>', 'OpenID Connect provider whose ID tokens are taken')
    .option('--oidc-client-id <id>', 'audience that its tokens must be for')
    .option('--oidc-username-claim <claim>', 'claim that names the user (default: sub)')
    .option('--oidc-username-prefix <text>', "in front of user names; '-' for none (default: the issuer and #)")
    .option('--oidc-groups-claim <claim>', "claim that lists the user's groups")
    .option('--oidc-groups-prefix <text>', 'in front of group names')
    .option('--oidc-ca-file <file>', "CA of the provider (default: the host's)")
    .option('--oidc-required-claim <key=value>', 'claim that a token must have (repeatable)', collect)
    .option('--oidc-signing-algs <list>', 'algorithms that are taken (default: RS256)', list)
    .option('--service-account-issuer <url>', 'issuer of service-account tokens; the first signs (repeatable)', collect)
    .option('--api-audiences <list>', 'audiences of the API server (default: the issuers)', list)
    .option('--service-account-key-file <file>', 'more keys whose tokens are good (repeatable)', collect)
    .option('--service-account-signing-key-file <file>', 'private key that signs tokens (default: made at first start)')
    .option('--service-account-extend-token-expiration <bool>', "pods' tokens live for a year (default: true)", bool)
    .option('--service-account-max-token-expiration <seconds>', 'longest life of a token', seconds);

/** Reads the files that the flags name. */
export function accessOptions(flags: AccessFlags): AccessOptions {
  const oidc = named('oidc', () =>
    configOfFlags({
      issuerUrl: flags.oidcIssuerUrl,
      clientId: flags.oidcClientId,
      usernameClaim: flags.oidcUsernameClaim,
      usernamePrefix: flags.oidcUsernamePrefix,
      groupsClaim: flags.oidcGroupsClaim,
      groupsPrefix: flags.oidcGroupsPrefix,
      caPem: read('--oidc-ca-file', flags.oidcCaFile),
      requiredClaims: flags.oidcRequiredClaim,
      signingAlgorithms: flags.oidcSigningAlgs,
    }),
  );
  if (oidc && flags.authenticationConfig) {
    throw new UserError('--authentication-config and --oidc-issuer-url exclude each other');
  }
  const text = read('--authentication-config', flags.authenticationConfig);
  const config =
    text === undefined ? undefined : named('--authentication-config', () => parseAuthenticationConfig(text));
  if (config?.anonymous && flags.anonymousAuth !== undefined) {
    throw new UserError('--anonymous-auth and the anonymous field of --authentication-config exclude each other');
  }
  read('--token-auth-file', flags.tokenAuthFile);
  return {
    authentication: {
      tokenAuthFile: flags.tokenAuthFile,
      anonymous: flags.anonymousAuth,
      bootstrapTokens: flags.enableBootstrapTokenAuth,
      oidc,
      config,
      issuers: flags.serviceAccountIssuer,
      audiences: flags.apiAudiences,
      verificationKeyPems: flags.serviceAccountKeyFile?.map((file) => read('--service-account-key-file', file) ?? ''),
      signingKeyPem: read('--service-account-signing-key-file', flags.serviceAccountSigningKeyFile),
      extendExpiration: flags.serviceAccountExtendTokenExpiration,
      maxExpirationSeconds: flags.serviceAccountMaxTokenExpiration,
    },
    ...(flags.authorizationMode && { authorizationModes: flags.authorizationMode }),
  };
}

function read(flag: string, file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UserError(`${flag}: ${(error as Error).message}`);
  }
}

function named<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new UserError(`${what}: ${(error as Error).message.split('\n')[0]}`);
  }
}

const collect = (value: string, before: string[] = []) => [...before, value];
const list = (value: string, before: string[] = []) => [...before, ...value.split(',').filter((each) => each !== '')];

function bool(value: string): boolean {
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new InvalidArgumentError('expected true or false');
}

function seconds(value: string): number {
  const number = Number(/^(\d+)s?$/.exec(value)?.[1] ?? Number.NaN);
  if (!(number >= 3600)) throw new InvalidArgumentError('expected seconds, at least 3600');
  return number;
}

function modes(value: string, before: AuthorizationMode[] = []): AuthorizationMode[] {
  const all = list(value, before);
  for (const [i, each] of all.entries()) {
    if (!AUTHORIZATION_MODES.includes(each as AuthorizationMode) || each === 'Webhook') {
      throw new InvalidArgumentError(`${JSON.stringify(each)} is not a valid mode`);
    }
    if (all.indexOf(each) !== i) throw new InvalidArgumentError(`mode ${each} is named twice`);
  }
  return all as AuthorizationMode[];
}
