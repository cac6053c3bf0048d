// Stored objects of a kind with a conversion, as objects of that kind: a batch at a time, each once per revision.
import type { Conversion } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Codec } from './entry.ts';
import { type CacheState, type Converted, convertedKey } from './state.ts';

export interface StoredObject {
  key: string;
  modRevision: number;
  value: Uint8Array;
}

/** The conversion itself failed (a webhook that does not answer): nothing is known of any object of the batch. */
export class ConversionError extends Error {
  constructor(cause: unknown) {
    super('stored objects cannot be converted', { cause });
  }
}

/** Throws ConversionError. What cannot even be decoded is an Error in the answer, in its own place. */
export function conversionOf(
  conversion: Conversion,
  codec: Codec,
  state: CacheState,
): (events: readonly StoredObject[]) => Promise<Converted> {
  return async (events) => {
    const found = new Map<string, KubeObject | Error>();
    const keys: string[] = [];
    const objects: KubeObject[] = [];
    for (const event of events) {
      if (state.isKnown(event)) continue;
      const key = convertedKey(event);
      try {
        objects.push(codec.parse(event.key, event.value));
        keys.push(key);
      } catch (error) {
        found.set(key, error instanceof Error ? error : new Error(String(error)));
      }
    }
    if (objects.length === 0) return found;
    let converted: KubeObject[];
    try {
      converted = await conversion.fromStored(objects);
    } catch (error) {
      throw new ConversionError(error);
    }
    keys.forEach((key, index) => {
      found.set(key, converted[index] as KubeObject);
    });
    return found;
  };
}
