// Kubernetes' image references: registry, repository, tag and digest, with Docker's defaults.
import { types } from '../types.ts';
import { fn, type Library, member, overload } from '../functions.ts';
import { CelError, CelOpaque, type CelValue } from '../values.ts';
import { failure } from './arithmetic.ts';

const imageType = types.opaque('kubernetes.Image');
const { string, bool } = types;

interface Reference {
  registry: string;
  repository: string;
  tag: string;
  digest: string;
}

class CelImage extends CelOpaque {
  readonly typeName = 'kubernetes.Image';
  readonly text: string;
  readonly reference: Reference;
  constructor(text: string, reference: Reference) {
    super();
    this.text = text;
    this.reference = reference;
  }
  equals(other: CelValue): boolean {
    return other instanceof CelImage && other.text === this.text;
  }
  override toString(): string {
    return this.text;
  }
}

function toImage(text: string): CelImage | CelError {
  const fail = () => failure(`could not parse reference: ${text}`);
  const [name = '', digest = '', extra] = text.split('@');
  if (extra !== undefined || (text.includes('@') && !/^sha256:[0-9a-f]{64}$/.test(digest))) return fail();
  const colon = name.lastIndexOf(':');
  const hasTag = colon > name.lastIndexOf('/');
  const path = hasTag ? name.slice(0, colon) : name;
  const tag = hasTag ? name.slice(colon + 1) : '';
  if (hasTag && !/^[A-Za-z0-9_.-]{1,128}$/.test(tag)) return fail();
  const [first = '', ...rest] = path.split('/');
  const hasRegistry = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const registry = hasRegistry ? (first === 'docker.io' ? 'index.docker.io' : first) : 'index.docker.io';
  let repository = hasRegistry ? rest.join('/') : path;
  if (!/^[a-z0-9_.-]+(?:\/[a-z0-9_.-]+)*$/.test(repository) || repository.length > 255) return fail();
  if (hasRegistry && !/^(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+)(?::[0-9]+)?$/.test(first)) return fail();
  if (registry === 'index.docker.io' && !repository.includes('/')) repository = `library/${repository}`;
  return new CelImage(text, { registry, repository, tag: digest ? '' : tag || 'latest', digest });
}

const getter = (name: string, id: string, get: (reference: Reference) => string) =>
  fn(
    name,
    member(id, [imageType], string, ({ reference }: CelImage) => get(reference)),
  );

export const imageLibrary: Library = {
  name: 'kubernetes.Image',
  types: [imageType],
  functions: [
    fn('image', overload('string_to_image', [string], imageType, toImage)),
    fn(
      'isImage',
      overload('is_image_string', [string], bool, (text: string) => toImage(text) instanceof CelImage),
    ),
    fn(
      'containsDigest',
      member('image_contains_digest', [imageType], bool, ({ reference }: CelImage) => reference.digest !== ''),
    ),
    getter('registry', 'image_registry', ({ registry }) => registry),
    getter('repository', 'image_repository', ({ repository }) => repository),
    getter('identifier', 'image_identifier', ({ digest, tag }) => digest || tag),
    getter('tag', 'image_tag', ({ tag }) => tag),
    getter('digest', 'image_digest', ({ digest }) => digest),
  ],
};
