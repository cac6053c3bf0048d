// Random schemas, sound or not, and random values: the same for the same seed.
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const NAMES = ['a', 'b', 'metadata', 'kind', 'x-y', '__proto__', 'status'];

export class Generator {
  #random: () => number;

  constructor(seed: number) {
    this.#random = randomOf(seed);
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T;
  }

  maybe(chance: number): boolean {
    return this.#random() < chance;
  }

  value(depth: number): unknown {
    switch (this.pick(['null', 'text', 'number', 'fraction', 'flag', 'list', 'map', 'map'])) {
      case 'null':
        return null;
      case 'text':
        return this.pick(['', 'a', '12', 'ä😀', '2020-01-01T00:00:00Z']);
      case 'number':
        return this.pick([0, -1, 7, 2 ** 40]);
      case 'fraction':
        return 1.5;
      case 'flag':
        return this.maybe(0.5);
      case 'list':
        return depth <= 0 ? [] : Array.from({ length: 3 }, () => this.value(depth - 1));
      default:
        return depth <= 0 ? {} : this.#record(() => this.value(depth - 1));
    }
  }

  #record(of: () => unknown): Record<string, unknown> {
    const found: Record<string, unknown> = Object.create(null);
    for (const name of NAMES) if (this.maybe(0.4)) found[name] = of();
    return JSON.parse(JSON.stringify(found));
  }

  /** One that a server takes: structural, with a few rules and defaults of the right type. */
  sound(depth: number): Record<string, unknown> {
    const type =
      depth <= 0 ? this.pick(['string', 'integer', 'boolean']) : this.pick(['object', 'object', 'array', 'map']);
    switch (type) {
      case 'string':
        return { type, ...(this.maybe(0.3) && { default: 'd' }), ...(this.maybe(0.3) && { maxLength: 5 }) };
      case 'integer':
        return { type, ...(this.maybe(0.3) && { default: 4 }), ...(this.maybe(0.2) && { nullable: true }) };
      case 'boolean':
        return { type };
      case 'array': {
        const isSet = this.maybe(0.3);
        const items = isSet ? { type: 'string', maxLength: 9 } : this.sound(depth - 1);
        return { type, maxItems: 5, items, ...(isSet && { 'x-kubernetes-list-type': 'set' }) };
      }
      case 'map':
        return { type: 'object', maxProperties: 5, additionalProperties: this.sound(depth - 1) };
      default: {
        if (this.maybe(0.15)) return { type, 'x-kubernetes-preserve-unknown-fields': true };
        const names = ['a', 'b', 'x-y', '__proto__'].filter(() => this.maybe(0.6));
        const properties = Object.fromEntries(names.map((name) => [name, this.sound(depth - 1)]));
        const rule = this.maybe(0.4) && { rule: this.pick(['has(self.a) || true', '!has(self.b)', 'self == oldSelf']) };
        const fits =
          rule &&
          (names.includes('a') || !rule.rule.includes('self.a')) &&
          (names.includes('b') || !rule.rule.includes('self.b'));
        return { type, properties, ...(fits && { 'x-kubernetes-validations': [rule] }) };
      }
    }
  }

  /** Not always one that a server would take. */
  schema(depth: number): Record<string, unknown> {
    const type = this.pick(['object', 'object', 'array', 'string', 'integer', 'number', 'boolean', '']);
    const schema: Record<string, unknown> = type === '' ? {} : { type };
    const flags = [
      'nullable',
      'x-kubernetes-preserve-unknown-fields',
      'x-kubernetes-int-or-string',
      'x-kubernetes-embedded-resource',
    ];
    for (const flag of flags) if (this.maybe(0.15)) schema[flag] = true;
    if (this.maybe(0.2)) schema['default'] = this.value(1);
    if (this.maybe(0.1)) schema['enum'] = [this.value(0), 'a'];
    if (this.maybe(0.1)) schema['pattern'] = this.pick(['^a', '(', '[[:alpha:]]+', '\\pL']);
    if (this.maybe(0.1)) schema['minimum'] = 3;
    if (this.maybe(0.1)) schema['maxLength'] = 1;
    if (this.maybe(0.1)) schema['format'] = this.pick(['date-time', 'ipv4', 'nothing', 'int32']);
    if (this.maybe(0.1)) schema['x-kubernetes-list-type'] = this.pick(['set', 'map', 'atomic', 'other']);
    if (this.maybe(0.1)) schema['x-kubernetes-list-map-keys'] = ['a'];
    if (this.maybe(0.1)) schema['x-kubernetes-map-type'] = 'atomic';
    if (this.maybe(0.1))
      schema['x-kubernetes-validations'] = [
        { rule: this.pick(['self == self', 'self.a > 1', ')', 'oldSelf != self']) },
      ];
    if (depth <= 0) return schema;
    if (this.maybe(0.6)) schema['properties'] = this.#record(() => this.schema(depth - 1));
    if (this.maybe(0.3)) schema['items'] = this.schema(depth - 1);
    if (this.maybe(0.2)) schema['additionalProperties'] = this.maybe(0.3) ? this.maybe(0.5) : this.schema(depth - 1);
    if (this.maybe(0.1)) schema['required'] = ['a', 'b'];
    for (const name of ['anyOf', 'oneOf', 'allOf']) {
      if (this.maybe(0.08)) schema[name] = [this.schema(0), this.schema(depth - 1)];
    }
    if (this.maybe(0.05)) schema['not'] = this.schema(0);
    return schema;
  }
}
