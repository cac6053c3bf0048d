// Reads the files that the options of access name, and turns them into what the API server is made with; what is wrong with
// them is told in one line.
import { readFileSync } from 'node:fs';
import { configOfFlags, parseAuthenticationConfig } from '../../apiserver/auth/oidc-config.ts';
import type { AuthenticationOptions } from '../../apiserver/authentication.ts';
import type { AuthorizationMode } from '../../apiserver/authorization.ts';
import { UserError } from '../user-error.ts';
import type { AccessFlags } from './access-flags.ts';

export interface AccessOptions {
  authentication: AuthenticationOptions;
  authorizationModes?: AuthorizationMode[];
}

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
