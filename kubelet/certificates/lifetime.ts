// When a certificate is to be replaced. Pure; upstream's rule: somewhere between 70 and 90 percent of its life.
import { X509Certificate } from 'node:crypto';
import type { Random } from '../../lib/clock.ts';

export function rotateAtMs(certificatePem: string, random: Random): number {
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  const from = Date.parse(validFrom);
  return from + (Date.parse(validTo) - from) * (0.7 + 0.2 * random());
}

/** Still good at `nowMs`, and the key fits. */
export function isUsable(certificatePem: string, nowMs: number): boolean {
  try {
    const { validFrom, validTo } = new X509Certificate(certificatePem);
    return Date.parse(validFrom) <= nowMs && nowMs < Date.parse(validTo);
  } catch {
    return false;
  }
}
