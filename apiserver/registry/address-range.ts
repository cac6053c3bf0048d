// IPv4 ranges as numbers, and ports as a bitmap in a RangeAllocation. Pure.

export interface AddressRange {
  cidr: string;
  /** First address of the network, as a number. */
  base: number;
  /** Addresses in the network, the unusable first and last included. */
  size: number;
}

/** Throws on anything that is no IPv4 CIDR with at least four addresses. */
export function parseRange(cidr: string): AddressRange {
  const [address = '', bits = ''] = cidr.split('/');
  const prefix = /^\d{1,2}$/.test(bits) ? Number(bits) : Number.NaN;
  const value = parseAddress(address);
  if (value === undefined || !(prefix >= 8 && prefix <= 30)) {
    throw new Error(`not an IPv4 range for services: ${JSON.stringify(cidr)} (want for example 10.96.0.0/12)`);
  }
  const size = 2 ** (32 - prefix);
  return { cidr, base: Math.floor(value / size) * size, size };
}

/** An IPv4 range of any size, as a ServiceCIDR may name one; undefined for IPv6 and what is no range. */
export function rangeOf(cidr: string): AddressRange | undefined {
  const [address = '', bits = ''] = cidr.split('/');
  const value = parseAddress(address);
  const prefix = Number(bits);
  if (value === undefined || !/^\d{1,2}$/.test(bits) || prefix > 32) return undefined;
  const size = 2 ** (32 - prefix);
  return { cidr, base: Math.floor(value / size) * size, size };
}

/** The network's own address and the broadcast one included. */
export const spans = (range: AddressRange, value: number): boolean =>
  value >= range.base && value < range.base + range.size;

/** As many addresses at the start are left to whoever asks for one by name, while there are others (KEP-3070). */
export function reservedForNames({ size }: AddressRange): number {
  const [least, most, share] = [16, 256, 16];
  return size <= least ? 0 : Math.min(most, Math.max(least, Math.floor(size / share)));
}

export function parseAddress(text: string): number | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  let value = 0;
  for (const part of text.split('.')) {
    // Leading zeros are octal to some readers.
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    value = value * 256 + Number(part);
  }
  return value;
}

export function formatAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** True for a usable address of the range: not the network's own, not the broadcast one. */
export function inRange(range: AddressRange, value: number): boolean {
  return value > range.base && value < range.base + range.size - 1;
}

/** Upstream's bitmap: a big-endian number whose bit `i` is offset `i`. */
export class Bitmap {
  #bytes: Buffer;

  constructor(bytes: Uint8Array, size: number) {
    const length = Math.ceil(size / 8);
    this.#bytes = Buffer.alloc(length);
    const from = Buffer.from(bytes);
    // Leading zero bytes are not stored.
    from.subarray(Math.max(0, from.length - length)).copy(this.#bytes, Math.max(0, length - from.length));
  }

  has(offset: number): boolean {
    return ((this.#at(offset) >> (offset % 8)) & 1) === 1;
  }

  set(offset: number, taken: boolean): void {
    const index = this.#bytes.length - 1 - (offset >> 3);
    const bit = 1 << (offset % 8);
    const byte = this.#at(offset);
    this.#bytes[index] = taken ? byte | bit : byte & ~bit;
  }

  toBytes(): Buffer {
    const first = this.#bytes.findIndex((byte) => byte !== 0);
    return first < 0 ? Buffer.alloc(0) : this.#bytes.subarray(first);
  }

  #at(offset: number): number {
    return this.#bytes[this.#bytes.length - 1 - (offset >> 3)] as number;
  }
}
