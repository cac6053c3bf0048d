// Reads protocol definitions (proto3 without extensions and groups) into services whose messages can be encoded. What a definition
// says is taken as it is; a construct that is not known is refused.
import { readFileSync } from 'node:fs';
import { type FieldType, MessageType } from './message.ts';

/** One method, as servers and clients need it; the names are those of grpc-js, which takes it as it is. */
export interface MethodDefinition {
  /** `/runtime.v1.RuntimeService/Version` */
  path: string;
  requestStream: boolean;
  responseStream: boolean;
  requestSerialize(message: object): Buffer;
  requestDeserialize(bytes: Buffer): object;
  responseSerialize(message: object): Buffer;
  responseDeserialize(bytes: Buffer): object;
}

/** Methods by name. */
export type ServiceDefinition = Record<string, MethodDefinition>;

export interface ProtoFile {
  /** By name within the package: `Pod`, `Pod.Status`. */
  messages: ReadonlyMap<string, MessageType>;
  service(name: string): ServiceDefinition;
}

const SCALARS = new Set<string>(['double', 'int32', 'int64', 'uint32', 'uint64', 'bool', 'string', 'bytes']);

export function readProtoFile(path: string): ProtoFile {
  return parseProto(readFileSync(path, 'utf8'));
}

export function parseProto(text: string): ProtoFile {
  const reader = new Reader(text);
  reader.file();
  return {
    messages: reader.messages,
    service(name) {
      const found = reader.services.get(name);
      if (!found) throw new Error(`no service ${name}`);
      return found;
    },
  };
}

class Reader {
  readonly messages = new Map<string, MessageType>();
  readonly services = new Map<string, ServiceDefinition>();
  readonly #enums = new Map<string, Record<string, number>>();
  readonly #tokens: string[];
  #at = 0;
  #package = '';

  constructor(text: string) {
    const plain = text.replace(/\/\/.*|\/\*[^]*?\*\//g, '');
    this.#tokens = plain.match(/[\w.]+|"[^"]*"|[^\s\w]/g) ?? [];
  }

  file(): void {
    while (this.#at < this.#tokens.length) {
      const word = this.#next();
      if (word === 'package') this.#package = this.#next();
      else if (word === 'message') this.#message('');
      else if (word === 'enum') this.#enum('');
      else if (word === 'service') this.#service();
      else if (word === 'syntax' || word === 'option') this.#skipStatement();
      else if (word !== ';') throw new Error(`cannot read "${word}" in a protocol definition`);
    }
  }

  #next(): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Error('the protocol definition ends early');
    return token;
  }

  #expect(token: string): void {
    const found = this.#next();
    if (found !== token) throw new Error(`"${token}" expected before "${found}" in a protocol definition`);
  }

  #skipStatement(): void {
    while (this.#next() !== ';');
  }

  #message(prefix: string): void {
    const name = `${prefix}${this.#next()}`;
    const message = new MessageType();
    this.messages.set(name, message);
    this.#expect('{');
    for (let word = this.#next(); word !== '}'; word = this.#next()) {
      if (word === 'message') this.#message(`${name}.`);
      else if (word === 'enum') this.#enum(`${name}.`);
      else if (word === 'oneof') this.#oneof(message, name);
      else if (word === 'reserved' || word === 'option') this.#skipStatement();
      else if (word === 'map') this.#map(message, name);
      else if (word === 'repeated') this.#field(message, name, this.#next(), 'repeated');
      else if (word === 'optional') this.#field(message, name, this.#next(), 'optional');
      else if (word !== ';') this.#field(message, name, word, 'single');
    }
  }

  /** Its members are read like any fields; what is not set is absent. */
  #oneof(message: MessageType, scope: string): void {
    this.#next();
    this.#expect('{');
    for (let word = this.#next(); word !== '}'; word = this.#next()) {
      if (word === 'option') this.#skipStatement();
      else this.#field(message, scope, word, 'optional');
    }
  }

  #field(message: MessageType, scope: string, type: string, label: 'single' | 'optional' | 'repeated'): void {
    const name = camelCase(this.#next());
    this.#expect('=');
    const number = Number(this.#next());
    this.#skipStatement();
    message.add({ name, number, label, type: this.#lazyType(type, scope) });
  }

  #map(message: MessageType, scope: string): void {
    this.#expect('<');
    const key = this.#next();
    this.#expect(',');
    const value = this.#next();
    this.#expect('>');
    const name = camelCase(this.#next());
    this.#expect('=');
    const number = Number(this.#next());
    this.#skipStatement();
    const entry = new MessageType();
    entry.add({ name: 'key', number: 1, label: 'single', type: this.#lazyType(key, scope) });
    entry.add({ name: 'value', number: 2, label: 'single', type: this.#lazyType(value, scope) });
    message.add({ name, number, label: 'map', type: () => ({ kind: 'message', message: entry }) });
  }

  /** Looked up when it is first used: a message may be defined after its users. Inner scopes win. */
  #lazyType(name: string, scope: string): () => FieldType {
    if (SCALARS.has(name)) return () => ({ kind: name }) as FieldType;
    return () => {
      for (let outer = scope; ; outer = outer.slice(0, Math.max(0, outer.lastIndexOf('.')))) {
        const full = outer === '' ? name : `${outer}.${name}`;
        const message = this.messages.get(full);
        if (message) return { kind: 'message', message };
        const numbers = this.#enums.get(full);
        if (numbers) return { kind: 'enum', numbers, names: namesOf(numbers) };
        if (outer === '') throw new Error(`unknown type ${name}`);
      }
    };
  }

  #enum(prefix: string): void {
    const name = `${prefix}${this.#next()}`;
    const values: Record<string, number> = {};
    this.#expect('{');
    for (let word = this.#next(); word !== '}'; word = this.#next()) {
      if (word === ';') continue;
      if (word !== 'option' && word !== 'reserved') {
        this.#expect('=');
        values[word] = Number(this.#next());
      }
      this.#skipStatement();
    }
    this.#enums.set(name, values);
  }

  #service(): void {
    const name = this.#next();
    const methods: ServiceDefinition = {};
    this.#expect('{');
    for (let word = this.#next(); word !== '}'; word = this.#next()) {
      if (word === 'option') this.#skipStatement();
      if (word !== 'rpc') continue;
      const method = this.#next();
      const [requestStream, request] = this.#argument();
      this.#expect('returns');
      const [responseStream, response] = this.#argument();
      if (this.#next() === '{') while (this.#next() !== '}');
      const path = `/${this.#package}.${name}/${method}`;
      methods[method] = this.#method(path, { requestStream, responseStream, request, response });
    }
    this.services.set(name, methods);
  }

  #argument(): [boolean, string] {
    this.#expect('(');
    const word = this.#next();
    const streams = word === 'stream';
    const type = streams ? this.#next() : word;
    this.#expect(')');
    return [streams, type];
  }

  #method(
    path: string,
    of: { requestStream: boolean; responseStream: boolean; request: string; response: string },
  ): MethodDefinition {
    const type = (name: string) => {
      const found = this.messages.get(name);
      if (!found) throw new Error(`unknown message ${name}`);
      return found;
    };
    return {
      path,
      requestStream: of.requestStream,
      responseStream: of.responseStream,
      requestSerialize: (message) => type(of.request).encode(message),
      requestDeserialize: (bytes) => type(of.request).decode(bytes),
      responseSerialize: (message) => type(of.response).encode(message),
      responseDeserialize: (bytes) => type(of.response).decode(bytes),
    };
  }
}

function namesOf(numbers: Record<string, number>): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const [name, number] of Object.entries(numbers)) if (!names.has(number)) names.set(number, name);
  return names;
}

/** `pod_sandbox_id` is `podSandboxId`. */
function camelCase(name: string): string {
  return name.slice(0, 1) + name.slice(1).replace(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase());
}
