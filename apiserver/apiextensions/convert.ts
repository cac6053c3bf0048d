// Conversion webhooks: ConversionReview v1, and v1beta1 for those that speak nothing else
// (k8s.io/apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go).
import { randomUUID } from 'node:crypto';
import { isMap, type Json } from '../../api/custom/structural.ts';
import type { ConvertVersions } from '../../api/custom/kinds.ts';
import { errors } from '../../api/errors.ts';
import { apiVersionOf, type KubeObject, parseApiVersion } from '../../api/object.ts';
import type { ObjectMeta } from '../../api/types/meta.ts';
import type { WebhookConversion } from '../../api/types/apiextensions-v1.ts';
import type { WebhookClient } from '../webhooks/client.ts';

const TIMEOUT_MS = 30_000;

/** Objects of one review; more are asked for one review after the other. */
const BATCH = 500;

/** Asks the webhook for a whole batch. Rejects with ApiError 500 in upstream's words. */
export function webhookConversion(webhook: WebhookConversion, client: WebhookClient): ConvertVersions {
  const ask = reviewer(webhook, client);
  return async (objects, apiVersion) => {
    const converted: KubeObject[] = [];
    for (let at = 0; at < objects.length; at += BATCH) {
      converted.push(...(await ask(objects.slice(at, at + BATCH), apiVersion)));
    }
    return converted;
  };
}

function reviewer(
  webhook: WebhookConversion,
  client: WebhookClient,
): (objects: KubeObject[], apiVersion: string) => Promise<KubeObject[]> {
  const version = webhook.conversionReviewVersions.find((each) => each === 'v1' || each === 'v1beta1');
  return async (objects, apiVersion) => {
    const first = objects[0] as KubeObject;
    // As Go prints a GroupVersionKind.
    const who = `conversion webhook for ${first.apiVersion}, Kind=${first.kind}`;
    const fail = (text: string) => errors.internal(`${who} ${text}`);
    if (!version) throw errors.internal('no supported conversion review versions');
    if (!webhook.clientConfig) throw fail('failed: no client configuration');
    const uid = randomUUID();
    const review = apiVersionOf({ group: 'apiextensions.k8s.io', version });
    let answer: unknown;
    try {
      answer = await client.call(
        webhook.clientConfig,
        JSON.stringify({
          kind: 'ConversionReview',
          apiVersion: review,
          request: { uid, desiredAPIVersion: apiVersion, objects },
        }),
        { timeoutMs: TIMEOUT_MS },
      );
    } catch (error) {
      throw fail(`failed: ${error instanceof Error ? error.message : String(error)}`);
    }
    const converted = convertedObjects(answer, uid, review, version);
    if (typeof converted === 'string') throw fail(`failed: ${converted}`);
    if (converted.length !== objects.length) {
      throw fail(`returned ${converted.length} objects, expected ${objects.length}`);
    }
    return converted.map((each, index) => {
      const checked = checkConverted(objects[index] as KubeObject, each, apiVersion);
      if (typeof checked === 'string') {
        throw fail(
          checked.startsWith('metadata: ')
            ? `returned invalid metadata in object at index ${index}: ${checked.slice('metadata: '.length)}`
            : `returned invalid converted object at index ${index}: ${checked}`,
        );
      }
      return checked;
    });
  };
}

/** The objects of an answer, or what is wrong with it. */
function convertedObjects(answer: unknown, uid: string, review: string, version: string): unknown[] | string {
  if (!isMap(answer)) return 'no response provided';
  if (version === 'v1' && (answer['apiVersion'] !== review || answer['kind'] !== 'ConversionReview')) {
    const got = `${String(answer['apiVersion'] ?? '')}, Kind=${String(answer['kind'] ?? '')}`;
    return `expected webhook response of ${review}, Kind=ConversionReview, got ${got}`;
  }
  const response = answer['response'];
  if (!isMap(response)) return 'no response provided';
  if (version === 'v1' && response['uid'] !== uid) {
    return `expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response['uid'] ?? '')}`;
  }
  const result = isMap(response['result']) ? response['result'] : {};
  if (result['status'] !== 'Success') {
    const message = result['message'];
    if (typeof message === 'string' && message !== '') return message;
    return `response.result.status was '${String(result['status'] ?? '')}', not 'Success'`;
  }
  const objects = response['convertedObjects'];
  return Array.isArray(objects) ? objects : [];
}

/** The converted object with the original's metadata, of which only labels and annotations may be new; or what is wrong. */
export function checkConverted(original: KubeObject, converted: unknown, apiVersion: string): KubeObject | string {
  if (!isMap(converted)) return 'not an object';
  const got = converted['apiVersion'];
  if (got !== apiVersion) {
    const shown = typeof got === 'string' && parseApiVersion(got) ? got : '';
    return `invalid groupVersion (expected ${apiVersion}, received ${shown})`;
  }
  if (converted['kind'] !== original.kind) {
    return `invalid kind (expected ${original.kind}, received ${String(converted['kind'] ?? '')})`;
  }
  const metadata = converted['metadata'];
  if (metadata === undefined) return 'metadata: missing metadata in converted object';
  if (!isMap(metadata)) return 'metadata: invalid metadata of type string in converted object';
  for (const [name, text] of [
    ['name', 'name'],
    ['namespace', 'namespace'],
    ['uid', 'UID'],
  ] as const) {
    const was = original.metadata[name] ?? '';
    const is = metadata[name] ?? '';
    if (was !== is) return `must have the same ${text}: ${was} != ${String(is)}`;
  }
  const meta: ObjectMeta = { ...original.metadata };
  for (const name of ['labels', 'annotations'] as const) {
    const given = metadata[name];
    if (given === undefined || given === null) {
      delete meta[name];
      continue;
    }
    if (!isMap(given) || !Object.values(given).every((each) => typeof each === 'string')) {
      return `metadata: metadata.${name} must be a map of strings`;
    }
    meta[name] = given as Record<string, string>;
  }
  return { ...(converted as Json), metadata: meta } as unknown as KubeObject;
}
