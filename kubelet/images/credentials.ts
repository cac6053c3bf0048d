// Pull secrets: which credentials fit an image reference. Pure.
// https://kubernetes.io/docs/concepts/containers/images/#config-json (globs per host label, path prefixes)
import type { Secret } from '../../api/types/core-v1.ts';
import type { AuthConfig } from '../../proto/cri-types.ts';

interface DockerAuth {
  username?: string;
  password?: string;
  auth?: string;
  identitytoken?: string;
  registrytoken?: string;
}

/** `docker.io/library/nginx` of `nginx:1.27@sha256:…`. */
export function repositoryOf(image: string): string {
  const withoutDigest = image.split('@')[0] as string;
  const slash = withoutDigest.lastIndexOf('/');
  const colon = withoutDigest.indexOf(':', slash + 1);
  const name = colon < 0 ? withoutDigest : withoutDigest.slice(0, colon);
  const first = name.split('/')[0] as string;
  const hasHost = name.includes('/') && (first.includes('.') || first.includes(':') || first === 'localhost');
  if (hasHost) return name;
  return `docker.io/${name.includes('/') ? name : `library/${name}`}`;
}

/** Credentials that fit, the most specific first. A secret that cannot be read is skipped. */
export function credentialsFor(image: string, secrets: readonly Secret[]): AuthConfig[] {
  const repository = repositoryOf(image);
  const found: { key: string; auth: AuthConfig }[] = [];
  for (const secret of secrets) {
    for (const [key, entry] of Object.entries(authsOf(secret))) {
      if (fits(key, repository)) found.push({ key, auth: toAuthConfig(key, entry) });
    }
  }
  return found.sort((a, b) => b.key.length - a.key.length).map((each) => each.auth);
}

function authsOf(secret: Secret): Record<string, DockerAuth> {
  try {
    const config = secret.data?.['.dockerconfigjson'];
    if (config)
      return (
        (JSON.parse(Buffer.from(config, 'base64').toString('utf8')) as { auths?: Record<string, DockerAuth> }).auths ??
        {}
      );
    const legacy = secret.data?.['.dockercfg'];
    if (legacy) return JSON.parse(Buffer.from(legacy, 'base64').toString('utf8')) as Record<string, DockerAuth>;
  } catch {
    // Not JSON: the same as no credentials; the pull then says what the registry thinks of that.
  }
  return {};
}

/** Whether a pattern such as `*.registry.example.com:5000/team` is for the repository. */
export const matchesImage = (pattern: string, repository: string): boolean => fits(pattern, repository);

function fits(key: string, repository: string): boolean {
  const bare = key
    .replace(/^https?:\/\//, '')
    .replace(/\/v[12]\/?$/, '')
    .replace(/\/+$/, '');
  const [host = '', ...path] = bare.split('/');
  const [imageHost = '', ...imagePath] = repository.split('/');
  const dockerHub = ['index.docker.io', 'docker.io', 'registry-1.docker.io'];
  const sameHub = dockerHub.includes(host) && dockerHub.includes(imageHost);
  if (!sameHub && !hostMatches(host, imageHost)) return false;
  const prefix = path.join('/');
  const target = imagePath.join('/');
  return prefix === '' || target === prefix || target.startsWith(`${prefix}/`);
}

function hostMatches(pattern: string, host: string): boolean {
  const patternLabels = pattern.split('.');
  const labels = host.split('.');
  if (patternLabels.length !== labels.length) return false;
  return patternLabels.every((each, index) => {
    const expression = each
      .split('*')
      .map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
      .join('.*');
    return new RegExp(`^${expression}$`).test(labels[index] as string);
  });
}

function toAuthConfig(key: string, entry: DockerAuth): AuthConfig {
  let { username = '', password = '' } = entry;
  if (!username && entry.auth) {
    const plain = Buffer.from(entry.auth, 'base64').toString('utf8');
    const colon = plain.indexOf(':');
    username = plain.slice(0, colon);
    password = plain.slice(colon + 1);
  }
  return {
    username,
    password,
    serverAddress: key,
    ...(entry.identitytoken && { identityToken: entry.identitytoken }),
    ...(entry.registrytoken && { registryToken: entry.registrytoken }),
  };
}
