// `jsonpatch.escapeKey`: a key as a part of a JSON pointer.
import { types } from '../types.ts';
import { fn, type Library, overload } from '../functions.ts';

const { string } = types;

export const jsonPatchLibrary: Library = {
  name: 'kubernetes.jsonpatch',
  functions: [
    fn(
      'jsonpatch.escapeKey',
      overload('string_jsonpatch_escapeKey_string', [string], string, (key: string) =>
        key.replaceAll('~', '~0').replaceAll('/', '~1'),
      ),
    ),
  ],
};
