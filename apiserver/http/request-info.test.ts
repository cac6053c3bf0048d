// Request info by table: method and path to what is asked for.
import { describe, expect, it } from 'vitest';
import { negotiate } from './negotiate.ts';
import { parseRequest } from './request-info.ts';

const summary = (method: string, url: string) => {
  const { isResource, verb, group, version, namespace, resource, subresource, name } = parseRequest(method, url);
  return isResource ? [verb, group, version, namespace, resource, name, subresource].join(' | ') : `path ${verb}`;
};

describe('parseRequest', () => {
  it.each([
    ['GET', '/version', 'path get'],
    ['GET', '/api/v1', 'path get'],
    ['GET', '/apis/apps/v1', 'path get'],
    ['GET', '/api/v1/pods', 'list |  | v1 |  | pods |  | '],
    ['GET', '/api/v1/pods?watch=true', 'watch |  | v1 |  | pods |  | '],
    ['GET', '/api/v1/pods?watch=false', 'list |  | v1 |  | pods |  | '],
    ['GET', '/api/v1/watch/namespaces/a/pods', 'watch |  | v1 | a | pods |  | '],
    ['GET', '/api/v1/namespaces/a/pods/b', 'get |  | v1 | a | pods | b | '],
    ['GET', '/api/v1/namespaces/a/pods/b/log', 'get |  | v1 | a | pods | b | log'],
    ['GET', '/api/v1/namespaces/a', 'get |  | v1 | a | namespaces | a | '],
    ['PUT', '/api/v1/namespaces/a/finalize', 'update |  | v1 | a | namespaces | a | finalize'],
    ['PATCH', '/api/v1/namespaces/a/status', 'patch |  | v1 | a | namespaces | a | status'],
    ['POST', '/apis/apps/v1/namespaces/a/deployments', 'create | apps | v1 | a | deployments |  | '],
    ['DELETE', '/apis/apps/v1/namespaces/a/deployments', 'deletecollection | apps | v1 | a | deployments |  | '],
    ['DELETE', '/apis/apps/v1/namespaces/a/deployments/d', 'delete | apps | v1 | a | deployments | d | '],
    ['GET', '/api/v1/pods?fieldSelector=metadata.name%3Dx,status.phase%3DRunning', 'list |  | v1 |  | pods | x | '],
    ['GET', '/api/v1/pods?fieldSelector=metadata.name!%3Dx', 'list |  | v1 |  | pods |  | '],
    ['OPTIONS', '/api/v1/pods', ' |  | v1 |  | pods |  | '],
    ['GET', '/api/v1/namespaces/a%2Fb/pods', 'get |  | v1 | a | b | pods | '],
  ])('%s %s', (method, url, expected) => {
    expect(summary(method, url)).toBe(expected);
  });
});

describe('negotiate', () => {
  const TABLE =
    'application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json';
  it('prefers what the client lists first, and weighs by quality', () => {
    expect(negotiate(TABLE, true).shape).toEqual({ kind: 'table', version: 'v1' });
    expect(negotiate(TABLE, false).shape).toEqual({ kind: 'object' });
    expect(negotiate('application/json;q=0.5,application/yaml', true).mediaType).toBe('application/yaml');
    expect(
      negotiate(
        'application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
        true,
      ).shape,
    ).toEqual({ kind: 'partial', version: 'v1' });
    expect(negotiate('text/html, */*;q=0.1', true).mediaType).toBe('application/json');
    expect(() => negotiate('application/cbor', true)).toThrow(/only the following media types are accepted/);
    expect(() => negotiate('application/json;q=0', true)).toThrow();
  });
});
