// Options of an API server that concern who may come in and what they may do, named as kube-apiserver's. One place, for
// `sampan up` and `sampan apiserver` alike.
import { type Command, InvalidArgumentError } from 'commander';
import type { AuthorizationMode } from '../../apiserver/authorization.ts';

const MODES: readonly AuthorizationMode[] = ['Node', 'RBAC', 'Webhook', 'AlwaysAllow', 'AlwaysDeny'];

export interface AccessFlags {
  tokenAuthFile?: string;
  anonymousAuth?: boolean;
  enableBootstrapTokenAuth?: boolean;
  authorizationConfig?: string;
  authorizationMode?: AuthorizationMode[];
  authorizationWebhookConfigFile?: string;
  authenticationTokenWebhookConfigFile?: string;
  admissionControlConfigFile?: string;
  enableAdmissionPlugins?: string[];
  disableAdmissionPlugins?: string[];
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

export const withAccess = (command: Command): Command =>
  command
    .option('--token-auth-file <file>', 'static tokens: token,user,uid,"group1,group2" per line')
    .option('--anonymous-auth <bool>', 'let requests without credentials in as system:anonymous (default: true)', bool)
    .option('--enable-bootstrap-token-auth <bool>', 'take bootstrap tokens of kube-system (default: true)', bool)
    .option('--authorization-mode <list>', `in order, of ${MODES.join(', ')} (default: Node,RBAC)`, modes)
    .option('--authorization-config <file>', 'AuthorizationConfiguration: authorizers in order, with several webhooks')
    .option('--authorization-webhook-config-file <file>', 'kubeconfig of the server that the mode Webhook asks')
    .option('--authentication-token-webhook-config-file <file>', 'kubeconfig of a server that is asked about tokens')
    .option('--admission-control-config-file <file>', 'AdmissionConfiguration: what PodSecurity asks for by default')
    .option('--enable-admission-plugins <list>', 'optional admission plugins to run', list)
    .option('--disable-admission-plugins <list>', 'default admission plugins not to run', list)
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

const collect = (value: string, before: string[] = []) => [...before, value];
const list = (value: string, before: string[] = []) => [...before, ...value.split(',').filter((each) => each !== '')];

export function bool(value: string): boolean {
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
    if (!MODES.includes(each as AuthorizationMode)) {
      throw new InvalidArgumentError(`${JSON.stringify(each)} is not a valid mode`);
    }
    if (all.indexOf(each) !== i) throw new InvalidArgumentError(`mode ${each} is named twice`);
  }
  return all as AuthorizationMode[];
}
