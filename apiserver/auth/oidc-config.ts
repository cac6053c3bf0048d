// How OpenID Connect is configured: kube-apiserver's --oidc-* flags, or the file of --authentication-config
// (apiserver.config.k8s.io/v1 AuthenticationConfiguration). Both become the same list. Pure; errors say which field is wrong.
import { parseYamlDocuments } from '../../api/yaml.ts';
import { SIGNING_ALGORITHMS } from './jws.ts';

export interface ClaimOrExpression {
  claim?: string;
  prefix?: string;
  expression?: string;
}

/** One issuer, as the file has it. */
export interface JwtAuthenticator {
  issuer: {
    url: string;
    discoveryURL?: string;
    /** PEM. */
    certificateAuthority?: string;
    audiences: string[];
    audienceMatchPolicy?: string;
  };
  claimValidationRules?: { claim?: string; requiredValue?: string; expression?: string; message?: string }[];
  claimMappings: {
    username: ClaimOrExpression;
    groups?: ClaimOrExpression;
    uid?: ClaimOrExpression;
    extra?: { key: string; valueExpression: string }[];
  };
  userValidationRules?: { expression: string; message?: string }[];
  /** Not in the file: what --oidc-signing-algs allows; default all. */
  signingAlgorithms?: readonly string[];
}

export interface AuthenticationConfig {
  jwt: JwtAuthenticator[];
  /** Undefined: as --anonymous-auth says. `paths`: only there. */
  anonymous?: { enabled: boolean; paths?: readonly string[] };
}

export interface OidcFlags {
  issuerUrl?: string | undefined;
  clientId?: string | undefined;
  usernameClaim?: string | undefined;
  usernamePrefix?: string | undefined;
  groupsClaim?: string | undefined;
  groupsPrefix?: string | undefined;
  /** PEM. */
  caPem?: string | undefined;
  /** `key=value` each. */
  requiredClaims?: readonly string[] | undefined;
  signingAlgorithms?: readonly string[] | undefined;
}

/** Undefined when no issuer is given. Throws when the flags do not fit each other. */
export function configOfFlags(flags: OidcFlags): JwtAuthenticator | undefined {
  const { issuerUrl, clientId, usernameClaim = 'sub', usernamePrefix, signingAlgorithms } = flags;
  if (!issuerUrl !== !clientId) throw new Error('oidc-issuer-url and oidc-client-id must be specified together');
  if (!issuerUrl || !clientId) return undefined;
  // Upstream's rule: names of an issuer get its URL in front, unless they are addresses, or `-` says not to.
  const standard = usernameClaim === 'email' ? '' : `${issuerUrl}#`;
  const prefix = usernamePrefix === '-' ? '' : (usernamePrefix ?? standard);
  const config: JwtAuthenticator = {
    issuer: { url: issuerUrl, audiences: [clientId], ...(flags.caPem && { certificateAuthority: flags.caPem }) },
    claimValidationRules: (flags.requiredClaims ?? []).map((text) => {
      const at = text.indexOf('=');
      if (at <= 0) throw new Error(`oidc-required-claim must be KEY=VALUE, got ${JSON.stringify(text)}`);
      return { claim: text.slice(0, at), requiredValue: text.slice(at + 1) };
    }),
    claimMappings: {
      username: { claim: usernameClaim, prefix },
      ...(flags.groupsClaim && { groups: { claim: flags.groupsClaim, prefix: flags.groupsPrefix ?? '' } }),
    },
    signingAlgorithms: signingAlgorithms ?? ['RS256'],
  };
  for (const each of config.signingAlgorithms ?? []) {
    if (!SIGNING_ALGORITHMS.includes(each)) {
      throw new Error(`oidc-signing-algs: unsupported signing algorithm ${JSON.stringify(each)}`);
    }
  }
  failIfInvalid(config, 'oidc');
  return config;
}

const VERSIONS = ['v1', 'v1beta1', 'v1alpha1'].map((version) => `apiserver.config.k8s.io/${version}`);

/** Parses the file; throws with the path of the field that is wrong. */
export function parseAuthenticationConfig(text: string): AuthenticationConfig {
  const [document] = parseYamlDocuments(text);
  const value = document?.value as
    | {
        apiVersion?: string;
        kind?: string;
        jwt?: JwtAuthenticator[];
        anonymous?: { enabled?: boolean; conditions?: { path?: string }[] };
      }
    | undefined;
  if (value?.kind !== 'AuthenticationConfiguration' || !VERSIONS.includes(value.apiVersion ?? '')) {
    throw new Error('expected apiVersion apiserver.config.k8s.io/v1, kind AuthenticationConfiguration');
  }
  const known = ['apiVersion', 'kind', 'jwt', 'anonymous'];
  const unknown = Object.keys(value).find((each) => !known.includes(each));
  if (unknown) throw new Error(`unknown field ${JSON.stringify(unknown)}`);
  const jwt = value.jwt ?? [];
  for (const [i, each] of jwt.entries()) {
    failIfInvalid(each, `jwt[${i}]`);
    if (jwt.findIndex((other) => other.issuer.url === each.issuer.url) !== i) {
      throw new Error(`jwt[${i}].issuer.url: Duplicate value: ${JSON.stringify(each.issuer.url)}`);
    }
  }
  if (!value.anonymous) return { jwt };
  const { enabled = false, conditions } = value.anonymous;
  if (!enabled && conditions?.length) {
    throw new Error('anonymous.conditions: Invalid value: enabled should be set to true when conditions are defined');
  }
  return { jwt, anonymous: { enabled, ...(conditions && { paths: conditions.map((each) => each.path ?? '') }) } };
}

function failIfInvalid(config: JwtAuthenticator, at: string): void {
  const fail = (field: string, why: string): never => {
    throw new Error(`${at}.${field}: ${why}`);
  };
  const { issuer, claimMappings: mappings } = config;
  if (!issuer?.url) fail('issuer.url', 'Required value: URL is required');
  for (const [field, url] of [
    ['issuer.url', issuer.url],
    ['issuer.discoveryURL', issuer.discoveryURL],
  ] as const) {
    if (url === undefined) continue;
    if (!URL.canParse(url)) fail(field, `Invalid value: ${JSON.stringify(url)}: not a URL`);
    const parsed = new URL(url);
    if (parsed.protocol !== 'https:') fail(field, `Invalid value: ${JSON.stringify(url)}: URL scheme must be https`);
    if (parsed.username || parsed.search || parsed.hash) {
      fail(field, `Invalid value: ${JSON.stringify(url)}: URL must not contain a username, query or fragment`);
    }
  }
  if (issuer.discoveryURL && issuer.discoveryURL === issuer.url) {
    fail('issuer.discoveryURL', 'Invalid value: discoveryURL must be different from URL');
  }
  if (!issuer.audiences?.length) fail('issuer.audiences', 'Required value: at least one jwt.audiences is required');
  if (issuer.audiences.length > 1 && issuer.audienceMatchPolicy !== 'MatchAny') {
    fail(
      'issuer.audienceMatchPolicy',
      `Invalid value: ${JSON.stringify(issuer.audienceMatchPolicy ?? '')}: audienceMatchPolicy must be MatchAny for multiple audiences`,
    );
  }
  if (!mappings?.username?.claim && !mappings?.username?.expression) {
    fail('claimMappings.username', 'Required value: claim or expression is required');
  }
  for (const name of ['username', 'groups', 'uid'] as const) {
    const mapping = mappings[name];
    if (mapping?.claim && mapping.expression) {
      fail(`claimMappings.${name}`, 'Invalid value: "": expression and claim can\'t both be set');
    }
    if (mapping?.claim && mapping.prefix === undefined && name !== 'uid') {
      fail(
        `claimMappings.${name}.prefix`,
        'Required value: prefix is required when claim is set. It can be set to an empty string to disable prefixing',
      );
    }
  }
  for (const [i, rule] of (config.claimValidationRules ?? []).entries()) {
    if (!rule.claim === !rule.expression) {
      fail(`claimValidationRules[${i}]`, 'Required value: claim or expression is required');
    }
  }
}
