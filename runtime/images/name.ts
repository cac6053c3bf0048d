// Image names: `[registry[:port]/]path[:tag][@digest]`, normalised as container tools do (busybox is
// docker.io/library/busybox:latest). Source of the grammar: the OCI distribution specification.
import { isDigest, parseDigest } from './digest.ts';
import { ImageError } from './errors.ts';

export interface ImageName {
  registry: string;
  path: string;
  tag: string | undefined;
  digest: string | undefined;
}

const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const registryPattern =
  /^(?:(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])(?:\.(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]))*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;

/** Parses and normalises; a name without tag and digest gets `latest`. Throws ImageError `invalid`. */
export function parseImageName(text: string): ImageName {
  const refuse = (why: string) => new ImageError('invalid', `invalid image name "${text}": ${why}`);
  if (text === '') throw refuse('it is empty');
  if (text.length > 512) throw refuse('it is longer than 512 characters');
  let rest = text;
  let digest: string | undefined;
  const at = rest.indexOf('@');
  if (at >= 0) {
    digest = rest.slice(at + 1);
    rest = rest.slice(0, at);
    parseDigest(digest);
  }
  let tag: string | undefined;
  const colon = rest.lastIndexOf(':');
  if (colon > rest.lastIndexOf('/')) {
    tag = rest.slice(colon + 1);
    rest = rest.slice(0, colon);
    if (!tagPattern.test(tag)) throw refuse(`"${tag}" is not a tag`);
  }
  let registry = 'docker.io';
  const slash = rest.indexOf('/');
  const first = slash < 0 ? '' : rest.slice(0, slash);
  if (first !== '' && (first.includes('.') || first.includes(':') || first === 'localhost' || /[A-Z]/.test(first))) {
    registry = first === 'index.docker.io' ? 'docker.io' : first;
    rest = rest.slice(slash + 1);
  }
  if (!registryPattern.test(registry)) throw refuse(`"${registry}" is not a host name with an optional port`);
  const path = registry === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest;
  for (const part of path.split('/')) {
    if (!component.test(part)) {
      throw refuse(
        /[A-Z]/.test(part) ? 'the repository must be lowercase' : `"${part}" is not a repository path component`,
      );
    }
  }
  if (tag === undefined && digest === undefined) tag = 'latest';
  return { registry, path, tag, digest };
}

/** `docker.io/library/busybox`. */
export function repositoryOf(name: ImageName): string {
  return `${name.registry}/${name.path}`;
}

/** The whole normalised name. A digest wins over a tag, as pulls do. */
export function formatImageName(name: ImageName): string {
  if (name.digest !== undefined) return `${repositoryOf(name)}@${name.digest}`;
  return `${repositoryOf(name)}:${name.tag ?? 'latest'}`;
}

/** Normalised name, or undefined when `text` is an image id (`sha256:…` or bare hex) or is malformed. */
export function normaliseName(text: string): string | undefined {
  if (isDigest(text)) return undefined;
  try {
    return formatImageName(parseImageName(text));
  } catch {
    return undefined;
  }
}
