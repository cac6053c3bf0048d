// Environments: Kubernetes' functions, and what an expression may name.
import type { Declarations } from './checker.ts';
import type { FunctionDecl, Library } from './functions.ts';
import { authorizerLibrary } from './library/authorizer.ts';
import { formatLibrary } from './library/format.ts';
import { imageLibrary } from './library/image.ts';
import { jsonPatchLibrary } from './library/jsonpatch.ts';
import { listsLibrary, setsLibrary } from './library/lists.ts';
import { netLibrary } from './library/net.ts';
import { comprehensionsLibrary, optionalsLibrary } from './library/optionals.ts';
import { quantityLibrary } from './library/quantity.ts';
import { regexLibrary } from './library/regex.ts';
import { semverLibrary } from './library/semver.ts';
import { standardLibrary, standardTypes } from './library/standard.ts';
import { stringsLibrary } from './library/strings.ts';
import { urlLibrary } from './library/url.ts';
import type { Environment, EnvironmentOptions } from './port.ts';
import type { CelType } from './types.ts';

/** What every expression in Kubernetes 1.36 has. */
const LIBRARIES: readonly Library[] = [
  standardLibrary,
  optionalsLibrary,
  comprehensionsLibrary,
  urlLibrary,
  regexLibrary,
  listsLibrary,
  authorizerLibrary,
  quantityLibrary,
  stringsLibrary,
  setsLibrary,
  netLibrary,
  formatLibrary,
  semverLibrary,
  imageLibrary,
];

interface Functions {
  byName: ReadonlyMap<string, FunctionDecl>;
  types: ReadonlyMap<string, CelType>;
}

function merge(libraries: readonly Library[]): Functions {
  const byName = new Map<string, FunctionDecl>();
  const types = new Map(standardTypes);
  for (const library of libraries) {
    for (const { name, overloads, dynamic } of library.functions) {
      const known = byName.get(name);
      const merged: FunctionDecl = { name, overloads: [...(known?.overloads ?? []), ...overloads] };
      const call = known ? (overloads.length > 0 && !dynamic ? undefined : (known.dynamic ?? dynamic)) : dynamic;
      if (call) merged.dynamic = call;
      byName.set(name, merged);
    }
    for (const type of library.types ?? []) if (type.kind === 'opaque') types.set(type.name, type);
  }
  return { byName, types };
}

const common = merge(LIBRARIES);
let withJsonPatch: Functions | undefined;

/** The environment as the engine itself uses it. */
export class DeclaredEnvironment implements Environment, Declarations {
  readonly options: EnvironmentOptions;
  readonly #functions: Functions;

  constructor(options: EnvironmentOptions) {
    this.options = options;
    if (options.libraries?.includes('jsonpatch')) withJsonPatch ??= merge([...LIBRARIES, jsonPatchLibrary]);
    this.#functions = options.libraries?.includes('jsonpatch') ? (withJsonPatch as Functions) : common;
  }

  get allowsMixedLiterals(): boolean {
    return this.options.mixedLiterals ?? false;
  }

  extend(variables: Readonly<Record<string, CelType>>): Environment {
    return new DeclaredEnvironment({ ...this.options, variables: { ...this.options.variables, ...variables } });
  }

  variable(name: string): CelType | undefined {
    return Object.hasOwn(this.options.variables, name) ? this.options.variables[name] : undefined;
  }
  typeNamed(name: string): CelType | undefined {
    return this.#functions.types.get(name) ?? this.options.types?.(name);
  }
  function(name: string): FunctionDecl | undefined {
    return this.#functions.byName.get(name);
  }
}

export function createEnvironment(options: EnvironmentOptions): Environment {
  return new DeclaredEnvironment(options);
}
