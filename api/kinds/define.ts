// How a kind file states its facts: what nearly every kind shares is filled in here, so that a file holds what is its own.
import type { Column, Kind, Verb } from '../kind.ts';
import type { KubeObject } from '../object.ts';

const ALL_VERBS: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

type Filled =
  | 'listKind'
  | 'singular'
  | 'shortNames'
  | 'categories'
  | 'verbs'
  | 'hasStatus'
  | 'hasGeneration'
  | 'columns'
  | 'validate'
  | 'validateUpdate';

export type KindFacts<T extends KubeObject> = Omit<Kind<T>, Filled> &
  Partial<Pick<Kind<T>, Exclude<Filled, 'columns'>>> & {
    /** `Name:string:name`, `Desired:integer`, `IP*` (shown with -o wide); the type is `string` when left out. */
    columns: readonly string[];
  };

/** A kind without rules of its own on update is checked as on create. */
export function defineKind<T extends KubeObject>(facts: KindFacts<T>): Kind<T> {
  const validate = facts.validate ?? (() => []);
  return {
    listKind: `${facts.kind}List`,
    singular: facts.kind.toLowerCase(),
    shortNames: [],
    categories: [],
    verbs: ALL_VERBS,
    hasStatus: false,
    hasGeneration: false,
    validateUpdate: (object) => validate(object),
    ...facts,
    validate,
    columns: facts.columns.map(parseColumn),
  };
}

function parseColumn(text: string): Column {
  const isWide = text.endsWith('*');
  const [name = '', type = 'string', format] = (isWide ? text.slice(0, -1) : text).split(':');
  return { name, type: type as Column['type'], ...(format && { format }), priority: isWide ? 1 : 0 };
}

/** The first column of nearly every table. */
export const NAME_COLUMN = 'Name:string:name';

export const nameOf = (object: KubeObject): string => object.metadata.name ?? '';
