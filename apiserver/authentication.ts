// Composition of who is asking: certificates, the cluster's own tokens, and what the options add to them.
import { readFileSync } from 'node:fs';
import type { KubeObject } from '../api/object.ts';
import type { Secret } from '../api/types/core-v1.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { webhookTokens } from './auth/webhook-tokens.ts';
import { type Authenticator, createAuthenticator } from './auth/authenticate.ts';
import { bootstrapTokens } from './auth/bootstrap-token.ts';
import { createTokenSigner, type TokenSigner } from './auth/jwt.ts';
import { oidcAuthenticator } from './auth/oidc.ts';
import type { Compile } from './auth/oidc-claims.ts';
import type { AuthenticationConfig, JwtAuthenticator } from './auth/oidc-config.ts';
import { DEFAULT_REQUEST_HEADERS, type RequestHeaderConfig } from './auth/request-header.ts';
import { type BoundObjects, ServiceAccountTokens } from './auth/service-account-token.ts';
import { type ReviewWebhookConfig, reviewWebhook } from './auth/review-webhook.ts';
import { staticTokens } from './auth/static-tokens.ts';
import { createTokenMetrics, type TokenMetrics } from './auth/token-metrics.ts';

export interface AuthenticationOptions {
  /** Lines `token,user,uid,"group1,group2"`. */
  tokenAuthFile?: string | undefined;
  /** False: requests without credentials are 401. Default true. */
  anonymous?: boolean | undefined;
  /** Default true: who may write Secrets in kube-system may make them. */
  bootstrapTokens?: boolean | undefined;
  /** Of --oidc-*. */
  oidc?: JwtAuthenticator | undefined;
  /** Of --authentication-config; says more than `oidc` and `anonymous`. */
  config?: AuthenticationConfig | undefined;
  /** Of service-account tokens: the first signs, all are accepted. Default https://kubernetes.default.svc.DOMAIN. */
  issuers?: readonly string[] | undefined;
  /** What tokens must be for. Default: the issuers. */
  audiences?: readonly string[] | undefined;
  /** PEM texts of more keys whose service-account tokens are good. */
  verificationKeyPems?: readonly string[] | undefined;
  /** In the place of the key in the PKI directory. */
  signingKeyPem?: string | undefined;
  requestHeaders?: RequestHeaderConfig | undefined;
  /** Asked about tokens that nobody here knows. */
  tokenWebhook?: ReviewWebhookConfig | undefined;
  /** Default true: tokens of pods live for a year, as upstream. */
  extendExpiration?: boolean | undefined;
  /** The longest life of a token, in seconds. */
  maxExpirationSeconds?: number | undefined;
  /** Compiles CEL expressions of the configuration. */
  compile?: Compile | undefined;
}

export interface Authentication {
  authenticator: Authenticator;
  signer: TokenSigner;
  /** The one that signs. */
  issuer: string;
  audiences: readonly string[];
  requestHeaders: RequestHeaderConfig;
}

export function createAuthentication(
  options: AuthenticationOptions & {
    defaultIssuer: string;
    serviceAccountKeyPem: string;
    objects: BoundObjects;
    clock: Clock;
    log: Logger;
    metrics?: TokenMetrics;
  },
): Authentication {
  const { clock, log, objects, config, tokenWebhook, metrics = createTokenMetrics() } = options;
  const issuers = options.issuers?.length ? options.issuers : [options.defaultIssuer];
  const audiences = options.audiences?.length ? options.audiences : issuers;
  const signer = createTokenSigner(options.signingKeyPem ?? options.serviceAccountKeyPem, [
    ...(options.signingKeyPem ? [options.serviceAccountKeyPem] : []),
    ...(options.verificationKeyPems ?? []),
  ]);
  const jwt = [...(options.oidc ? [options.oidc] : []), ...(config?.jwt ?? [])];
  for (const { issuer } of jwt) {
    if (issuers.includes(issuer.url)) {
      throw new Error(`issuer ${issuer.url}: URL must not overlap with disallowed issuers: [${issuers.join(' ')}]`);
    }
  }
  const findSecret = (name: string) =>
    objects.find('Secret', 'kube-system', name) as Promise<(Secret & KubeObject) | undefined>;
  const tokens = [
    ...(options.tokenAuthFile ? [staticTokens(readFileSync(options.tokenAuthFile, 'utf8'), audiences)] : []),
    new ServiceAccountTokens({ signer, issuers, audiences, objects, clock, metrics }),
    ...(options.bootstrapTokens === false
      ? []
      : [bootstrapTokens({ find: findSecret, clock, serverAudiences: audiences })]),
    ...jwt.map((each) =>
      oidcAuthenticator(each, {
        serverAudiences: audiences,
        clock,
        ...(options.compile && { compile: options.compile }),
      }),
    ),
    ...(tokenWebhook
      ? [webhookTokens({ ask: reviewWebhook(tokenWebhook), serverAudiences: audiences, clock, log, metrics })]
      : []),
  ];
  const requestHeaders = options.requestHeaders ?? DEFAULT_REQUEST_HEADERS;
  const authenticator = createAuthenticator({
    tokens,
    audiences,
    requestHeaders,
    anonymous: config?.anonymous ?? { enabled: options.anonymous ?? true },
  });
  return { authenticator, signer, issuer: issuers[0] as string, audiences, requestHeaders };
}
