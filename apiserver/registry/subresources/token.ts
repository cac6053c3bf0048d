// serviceaccounts/token: a signed, expiring token for an account, bound to the life of a pod or a secret when asked.
import { randomUUID } from 'node:crypto';
import { errors } from '../../../api/errors.ts';
import { fieldErrors } from '../../../api/field-error.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { TokenRequest } from '../../../api/types/authentication-v1.ts';
import type { Pod } from '../../../api/types/core-v1.ts';
import { nodeNameOf, serviceAccountUser } from '../../auth/identity.ts';
import type { TokenClaims, TokenSigner } from '../../auth/jwt.ts';
import { admitBody } from '../../admission/subresource.ts';
import type { Exchange } from '../../http/exchange.ts';
import { readObject, type ResourceContext, type SubresourceHandler, writeRequest } from '../../http/resources.ts';
import { writeOptions } from '../../http/write-options.ts';
import { timestamp } from '../encode.ts';
import { tokenRequestKind } from './kinds.ts';

const DEFAULT_SECONDS = 3600;
const MIN_SECONDS = 600;
const MAX_SECONDS = 2 ** 32;
/** An hour, and seven seconds by which the volume that every pod gets is known. */
const POD_TOKEN_SECONDS = 3607;
const EXTENDED_SECONDS = 365 * 24 * 3600;

export function tokenHandler(options: {
  signer: TokenSigner;
  issuer: string;
  /** What a token without audiences is for. */
  audiences: readonly string[];
  /** Tokens of pods live a year, so that programs that read them once go on; default true, as upstream. */
  extendExpiration?: boolean | undefined;
  /** No token lives longer. */
  maxSeconds?: number | undefined;
}): SubresourceHandler {
  return async (context, exchange, kind) => {
    const { info } = exchange;
    if (info.verb !== 'create') throw errors.methodNotAllowedPath();
    const written = writeOptions(info.query, 'CreateOptions');
    const body = await readObject(context, exchange, tokenRequestKind, written.fieldValidation);
    checkNames(body as KubeObject & TokenRequest, info.name, info.namespace);
    const request = (await admitBody(
      context.admission,
      { kind, subresource: 'token', name: info.name, bodyKind: tokenRequestKind },
      body,
      writeRequest(exchange, kind, written.dryRun),
    )) as KubeObject & TokenRequest;
    const account = (await context.registry.get(kind, info.namespace, info.name)).object;
    const spec = request.spec ?? {};
    const seconds = spec.expirationSeconds ?? DEFAULT_SECONDS;
    failIfInvalid(info.name, seconds);
    const audiences = spec.audiences?.length ? spec.audiences : [...options.audiences];
    const bound = await boundObject(context, exchange, spec.boundObjectRef);
    const nowSeconds = Math.floor(context.clock.now() / 1000);
    const granted = Math.min(seconds, options.maxSeconds ?? MAX_SECONDS);
    // What the kubelet asks for the volume that every pod gets; others get what they ask for.
    const isExtended =
      options.extendExpiration !== false &&
      granted === POD_TOKEN_SECONDS &&
      audiences.every((each) => options.audiences.includes(each));
    const claims: TokenClaims = {
      aud: audiences,
      exp: nowSeconds + (isExtended ? EXTENDED_SECONDS : granted),
      iat: nowSeconds,
      iss: options.issuer,
      jti: randomUUID(),
      'kubernetes.io': {
        namespace: info.namespace,
        ...bound,
        serviceaccount: { name: info.name, uid: account.metadata.uid ?? '' },
        ...(isExtended && { warnafter: nowSeconds + granted }),
      },
      nbf: nowSeconds,
      sub: serviceAccountUser(info.namespace, info.name),
    };
    const answer = {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { name: info.name, namespace: info.namespace, creationTimestamp: timestamp(context.clock.now()) },
      spec: { ...spec, audiences, expirationSeconds: granted, boundObjectRef: spec.boundObjectRef ?? null },
      status: { token: options.signer.sign(claims), expirationTimestamp: timestamp((nowSeconds + granted) * 1000) },
    };
    await exchange.sendObject(201, answer);
  };
}

function checkNames(request: TokenRequest, name: string, namespace: string): void {
  const meta = request.metadata;
  if (meta.name && meta.name !== name) {
    throw errors.badRequest(`the name of the object (${meta.name}) does not match the name on the URL (${name})`);
  }
  if (meta.namespace && meta.namespace !== namespace) {
    throw errors.badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
}

function failIfInvalid(name: string, seconds: number): void {
  const found = [];
  const field = 'spec.expirationSeconds';
  if (seconds < MIN_SECONDS)
    found.push(fieldErrors.invalid(field, seconds, 'may not specify a duration less than 10 minutes'));
  if (seconds > MAX_SECONDS)
    found.push(fieldErrors.invalid(field, seconds, 'may not specify a duration larger than 2^32 seconds'));
  if (found.length > 0) throw errors.invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, name, found);
}

type Bound = Pick<TokenClaims['kubernetes.io'], 'pod' | 'secret' | 'node'>;

async function boundObject(
  context: ResourceContext,
  exchange: Exchange,
  reference: NonNullable<TokenRequest['spec']>['boundObjectRef'] | null,
): Promise<Bound> {
  const { info, user } = exchange;
  const requester = nodeNameOf(user);
  if (!reference) {
    if (requester !== undefined) throw forbidden(info.name, `node requested token not bound to a pod`);
    return {};
  }
  const { registry } = context;
  const { kind = '', apiVersion = '', name = '', uid } = reference;
  if (requester !== undefined && (kind !== 'Pod' || apiVersion !== 'v1' || name === '')) {
    throw forbidden(info.name, 'node requested token not bound to a pod');
  }
  if (requester !== undefined && !uid) {
    throw forbidden(info.name, 'node requested token with a pod binding without a uid');
  }
  if (apiVersion === 'v1' && kind === 'Secret') {
    return {
      secret: checkUid(kind, (await registry.get(registry.kind('', 'secrets'), info.namespace, name)).object, uid),
    };
  }
  if (apiVersion === 'v1' && kind === 'Node') {
    return { node: checkUid(kind, (await registry.get(registry.kind('', 'nodes'), '', name)).object, uid) };
  }
  if (apiVersion !== 'v1' || kind !== 'Pod') {
    throw errors.badRequest(
      `cannot bind token to object of type ${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`,
    );
  }
  const pod = (await registry.get(registry.kind('', 'pods'), info.namespace, name)).object as Pod & KubeObject;
  if (pod.spec?.serviceAccountName !== info.name) {
    throw errors.badRequest(
      `cannot bind token for serviceaccount ${JSON.stringify(info.name)} to pod running with different serviceaccount name.`,
    );
  }
  const claim = checkUid('Pod', pod, uid);
  const nodeName = pod.spec.nodeName;
  if (requester !== undefined && nodeName !== requester) {
    throw forbidden(info.name, 'node requested token bound to a pod scheduled on a different node');
  }
  if (!nodeName) return { pod: claim };
  const node = await registry.find(registry.kind('', 'nodes'), '', nodeName, { anyAge: true });
  return { node: { name: nodeName, ...(node?.metadata.uid && { uid: node.metadata.uid }) }, pod: claim };
}

function forbidden(name: string, why: string) {
  return errors.forbidden({ group: '', resource: 'serviceaccounts' }, name, why);
}

function checkUid(kind: string, object: KubeObject, uid: string | undefined): { name: string; uid: string } {
  if (uid && uid !== object.metadata.uid) {
    throw errors.conflict(
      { group: '', resource: kind },
      object.metadata.name ?? '',
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  return { name: object.metadata.name ?? '', uid: object.metadata.uid ?? '' };
}
