import { describe, expect, it } from 'vitest';
import type { ConfigMap, Secret } from '../types/core-v1.ts';
import { configMap } from './config-map.ts';
import { secret } from './secret.ts';
import { CONTEXT, createErrors, created, updateErrors } from './testing.ts';

const metadata = { name: 'x', namespace: 'default' };
const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('Secret', () => {
  it('folds stringData into data and is Opaque by default', () => {
    const object = created(secret, { metadata, data: { a: base64('1'), b: base64('2') }, stringData: { b: 'ü' } });
    expect(object).toEqual({ metadata, type: 'Opaque', data: { a: base64('1'), b: base64('ü') } });
    expect(secret.cells(object, CONTEXT)).toEqual(['x', 'Opaque', 2, '<unknown>']);
    expect(secret.selectableFields?.type?.(object)).toBe('Opaque');
  });

  it.each<[Partial<Secret>, string[]]>([
    [{}, []],
    [
      { data: { 'bad key': '' } },
      [
        "data[bad key]: Invalid value: \"bad key\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
      ],
    ],
    [{ data: { a: base64('x'.repeat(1024 * 1024 + 1)) } }, ['data: Too long: may not be more than 1048576 bytes']],
    [{ data: { a: base64('x'.repeat(1024 * 1024)) } }, []],
    [{ type: 'kubernetes.io/tls' }, ['data[tls.crt]: Required value', 'data[tls.key]: Required value']],
    [{ type: 'kubernetes.io/ssh-auth' }, ['data[ssh-privatekey]: Required value']],
    [{ type: 'kubernetes.io/basic-auth', data: { username: '' } }, []],
    [{ type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': base64('{}') } }, []],
    [{ type: 'kubernetes.io/dockerconfigjson' }, ['data[.dockerconfigjson]: Required value']],
    [
      { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': base64('{') } },
      ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid JSON'],
    ],
    [
      { type: 'kubernetes.io/service-account-token' },
      ['metadata.annotations[kubernetes.io/service-account.name]: Required value'],
    ],
  ])('create %#', (more, messages) => {
    expect(createErrors(secret, { metadata, ...more })).toEqual(messages);
  });

  it('keeps its type, and everything once immutable', () => {
    const old: Secret = { metadata, data: { a: base64('1') }, immutable: true };
    expect(updateErrors(secret, old, { metadata, type: 'a/b', data: { a: base64('2') } })).toEqual([
      'type: Invalid value: "a/b": field is immutable',
      'immutable: Forbidden: field is immutable when `immutable` is set',
      'data: Forbidden: field is immutable when `immutable` is set',
    ]);
    expect(updateErrors(secret, old, old)).toEqual([]);
  });
});

describe('ConfigMap', () => {
  it.each<[Partial<ConfigMap>, string[]]>([
    [{ data: { 'a.b-c_d': 'x' } }, []],
    [{ data: { '..': 'x' } }, ['data[..]: Invalid value: "..": must not be \'..\'']],
    [
      { data: { a: '' }, binaryData: { a: '' } },
      ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
    ],
    [{ data: { a: 'é'.repeat(512 * 1024 + 1) } }, [': Too long: may not be more than 1048576 bytes']],
  ])('create %#', (more, messages) => {
    expect(createErrors(configMap, { metadata, ...more })).toEqual(messages);
  });

  it('stays as it is once immutable, and counts both kinds of data', () => {
    const old: ConfigMap = { metadata, data: { a: '1' }, binaryData: { b: '' }, immutable: true };
    expect(updateErrors(configMap, old, { ...old, binaryData: {} })).toEqual([
      'binaryData: Forbidden: field is immutable when `immutable` is set',
    ]);
    expect(configMap.cells(old, CONTEXT)).toEqual(['x', 2, '<unknown>']);
  });
});
