// Reads the files that the options of access name, and turns them into what the API server is made with; what is wrong with
// them is told in one line.
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseAdmissionConfiguration } from '../../apiserver/admission/configuration.ts';
import { noExpressions } from '../../apiserver/auth/oidc.ts';
import { identityOfClaims } from '../../apiserver/auth/oidc-claims.ts';
import { configOfFlags, parseAuthenticationConfig } from '../../apiserver/auth/oidc-config.ts';
import { parseStaticTokens } from '../../apiserver/auth/static-tokens.ts';
import type { AuthenticationOptions } from '../../apiserver/authentication.ts';
import { parseAuthorizationConfig } from '../../apiserver/auth/authorization-config.ts';
import type { AuthorizerSource } from '../../apiserver/auth/authorization-reloads.ts';
import type { AuthorizationMode, RunnableAuthorizer } from '../../apiserver/authorization.ts';
import type { ApiServerOptions as ServerOptions } from '../../apiserver/server.ts';
import type { ReviewWebhookConfig } from '../../apiserver/auth/review-webhook.ts';
import { credentialsByServer } from '../../apiserver/webhooks/credentials.ts';
import { loadKubeconfig, loadKubeconfigUsers } from '../../client/kubeconfig.ts';
import { followFile } from '../../lib/follow-file.ts';
import { UserError } from '../user-error.ts';
import type { AccessFlags } from './access-flags.ts';

export interface AccessOptions {
  authentication: AuthenticationOptions;
  authorizationModes?: AuthorizationMode[];
  authorizationWebhook?: ReviewWebhookConfig;
  authorizers?: RunnableAuthorizer[];
  authorizerSource?: AuthorizerSource;
  admissionPlugins: ServerOptions['admissionPlugins'] & object;
}

/** Reads the files that the flags name. */
export async function accessOptions(flags: AccessFlags): Promise<AccessOptions> {
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
  const tokens = read('--token-auth-file', flags.tokenAuthFile);
  if (tokens !== undefined) named('--token-auth-file', () => parseStaticTokens(tokens));
  const signingKeyPem = read('--service-account-signing-key-file', flags.serviceAccountSigningKeyFile);
  if (signingKeyPem) named('--service-account-signing-key-file', () => createPrivateKey(signingKeyPem));
  const verificationKeyPems = flags.serviceAccountKeyFile?.map((file) => {
    const pem = read('--service-account-key-file', file) ?? '';
    named(`--service-account-key-file ${file}`, () => createPublicKey(pem));
    return pem;
  });
  // The engine is loaded only for who needs it.
  const compile = /[Ee]xpression/.test(text ?? '')
    ? (await import('../../apiserver/auth/oidc-expressions.ts')).celCompile
    : undefined;
  for (const each of config?.jwt ?? []) {
    named('--authentication-config', () => identityOfClaims(each, compile ?? noExpressions));
  }
  const { authorizers, authorizerSource } = await configuredAuthorizers(flags);
  const authorizationWebhook = webhook('--authorization-webhook-config-file', flags.authorizationWebhookConfigFile);
  if (!authorizationWebhook !== !flags.authorizationMode?.includes('Webhook')) {
    throw new UserError('--authorization-mode=Webhook and --authorization-webhook-config-file need each other');
  }
  return {
    authentication: {
      tokenAuthFile: flags.tokenAuthFile,
      anonymous: flags.anonymousAuth,
      bootstrapTokens: flags.enableBootstrapTokenAuth,
      oidc,
      tokenWebhook: webhook('--authentication-token-webhook-config-file', flags.authenticationTokenWebhookConfigFile),
      config,
      compile,
      issuers: flags.serviceAccountIssuer,
      audiences: flags.apiAudiences,
      verificationKeyPems,
      signingKeyPem,
      extendExpiration: flags.serviceAccountExtendTokenExpiration,
      maxExpirationSeconds: flags.serviceAccountMaxTokenExpiration,
    },
    ...(flags.authorizationMode && { authorizationModes: flags.authorizationMode }),
    ...(authorizationWebhook && { authorizationWebhook }),
    ...(authorizers && { authorizers, authorizerSource }),
    admissionPlugins: {
      enable: flags.enableAdmissionPlugins,
      disable: flags.disableAdmissionPlugins,
      ...admissionConfiguration(flags.admissionControlConfigFile),
    },
  };
}

function admissionConfiguration(file: string | undefined) {
  const flag = '--admission-control-config-file';
  const text = read(flag, file);
  if (text === undefined || file === undefined) return {};
  // Paths in it are beside it.
  return named(flag, () =>
    parseAdmissionConfiguration(text, {
      file: (path) => readFileSync(resolve(dirname(file), path), 'utf8'),
      credentials(path) {
        const { users, current } = loadKubeconfigUsers(path);
        return credentialsByServer(users, current);
      },
    }),
  );
}

/** As the file is now, and whenever it becomes another. */
async function configuredAuthorizers(
  flags: AccessFlags,
): Promise<
  | { authorizers: RunnableAuthorizer[]; authorizerSource: AuthorizerSource }
  | { authorizers?: undefined; authorizerSource?: undefined }
> {
  const flag = '--authorization-config';
  const file = flags.authorizationConfig;
  const text = read(flag, file);
  if (text === undefined || file === undefined) return {};
  if (flags.authorizationMode || flags.authorizationWebhookConfigFile) {
    throw new UserError(
      `${flag} can not be specified when --authorization-mode or --authorization-webhook-config-file are defined`,
    );
  }
  const source: AuthorizerSource = {
    text,
    follow(changed) {
      let last = text;
      let reading = Promise.resolve();
      const check = () => {
        reading = reading.then(async () => {
          try {
            const now = read(flag, file) as string;
            if (now === last) return;
            last = now;
            changed({ text: now, authorizers: await parseAuthorizers(flag, now) });
          } catch (error) {
            changed({ error: error as Error });
          }
        });
      };
      const watcher = followFile(file, check);
      // It may have changed since it was read.
      check();
      return watcher;
    },
  };
  return { authorizers: await parseAuthorizers(flag, text), authorizerSource: source };
}

async function parseAuthorizers(flag: string, text: string): Promise<RunnableAuthorizer[]> {
  const configured = named(flag, () =>
    parseAuthorizationConfig(text, (file) => webhook(flag, file) as ReviewWebhookConfig),
  );
  const needsCel = configured.some((each) => each.type === 'Webhook' && each.webhook.matchConditions.length > 0);
  if (!needsCel) return configured;
  const { compileConditions } = await import('../../apiserver/auth/webhook-conditions.ts');
  return configured.map((each) =>
    each.type === 'Webhook' && each.webhook.matchConditions.length > 0
      ? { ...each, matches: named(flag, () => compileConditions(each.webhook.matchConditions)) }
      : each,
  );
}

function webhook(flag: string, file: string | undefined): ReviewWebhookConfig | undefined {
  if (file === undefined) return undefined;
  const { config } = named(flag, () =>
    loadKubeconfig({ path: file, env: {}, homeDir: '/', userAgent: 'sampan-apiserver' }),
  );
  if (!config.server.startsWith('https://')) throw new UserError(`${flag}: the server must be https://`);
  return config;
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
