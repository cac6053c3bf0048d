// NaCl's secretbox, XSalsa20 with Poly1305, which node's own cryptography does not have. Laws: "Extending the Salsa20
// nonce" and "The Poly1305-AES message-authentication code" (D. J. Bernstein). No branch and no index depends on a secret.
import { timingSafeEqual } from 'node:crypto';

export const KEY_BYTES = 32;
export const NONCE_BYTES = 24;
const TAG_BYTES = 16;
/** "expand 32-byte k" */
const SIGMA = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const;

/** The tag, then the ciphertext. */
export function seal(message: Uint8Array, nonce: Uint8Array, key: Uint8Array): Buffer {
  const box = Buffer.alloc(TAG_BYTES + message.length);
  const macKey = xor(message, box.subarray(TAG_BYTES), nonce, key);
  poly1305(box.subarray(TAG_BYTES), macKey).copy(box);
  return box;
}

/** Undefined when the box was not made with this nonce and key. */
export function open(box: Uint8Array, nonce: Uint8Array, key: Uint8Array): Buffer | undefined {
  if (box.length < TAG_BYTES) return undefined;
  const ciphertext = box.subarray(TAG_BYTES);
  const message = Buffer.alloc(ciphertext.length);
  const macKey = xor(ciphertext, message, nonce, key);
  return timingSafeEqual(poly1305(ciphertext, macKey), box.subarray(0, TAG_BYTES)) ? message : undefined;
}

/** Writes `input` xor the key stream to `output`; returns the stream's first 32 bytes, which are the key of the tag. */
function xor(input: Uint8Array, output: Uint8Array, nonce: Uint8Array, key: Uint8Array): Buffer {
  const subkey = hsalsa20(words(key), words(nonce.subarray(0, 16)));
  const tail = words(nonce.subarray(16, 24));
  const block = new Uint32Array(16);
  const bytes = Buffer.from(block.buffer);
  let macKey = Buffer.alloc(0);
  for (let counter = 0, at = -32; at < input.length || counter === 0; counter++, at += 64) {
    const state = salsaState(subkey, [tail[0] as number, tail[1] as number, counter, 0]);
    rounds(state, block);
    for (let i = 0; i < 16; i++) block[i] = (block[i] as number) + (state[i] as number);
    if (counter === 0) macKey = Buffer.from(bytes.subarray(0, 32));
    for (let i = counter === 0 ? 32 : 0; i < 64 && at + i < input.length; i++) {
      output[at + i] = (input[at + i] as number) ^ (bytes[i] as number);
    }
  }
  return macKey;
}

function hsalsa20(key: Uint32Array, nonce: Uint32Array): Uint32Array {
  const out = new Uint32Array(16);
  rounds(salsaState(key, nonce), out);
  return Uint32Array.from([0, 5, 10, 15, 6, 7, 8, 9], (i) => out[i] as number);
}

function salsaState(key: ArrayLike<number>, nonce: ArrayLike<number>): Uint32Array {
  const state = new Uint32Array(16);
  for (let i = 0; i < 4; i++) {
    state[i * 5] = SIGMA[i] as number;
    state[i + 1] = key[i] as number;
    state[i + 6] = nonce[i] as number;
    state[i + 11] = key[i + 4] as number;
  }
  return state;
}

function rounds(state: Uint32Array, x: Uint32Array): void {
  x.set(state);
  for (let i = 0; i < 10; i++) {
    quarter(x, 0, 4, 8, 12);
    quarter(x, 5, 9, 13, 1);
    quarter(x, 10, 14, 2, 6);
    quarter(x, 15, 3, 7, 11);
    quarter(x, 0, 1, 2, 3);
    quarter(x, 5, 6, 7, 4);
    quarter(x, 10, 11, 8, 9);
    quarter(x, 15, 12, 13, 14);
  }
}

function quarter(x: Uint32Array, a: number, b: number, c: number, d: number): void {
  x[b] = (x[b] as number) ^ rotate((x[a] as number) + (x[d] as number), 7);
  x[c] = (x[c] as number) ^ rotate((x[b] as number) + (x[a] as number), 9);
  x[d] = (x[d] as number) ^ rotate((x[c] as number) + (x[b] as number), 13);
  x[a] = (x[a] as number) ^ rotate((x[d] as number) + (x[c] as number), 18);
}

const rotate = (value: number, by: number) => (value << by) | (value >>> (32 - by));

function words(bytes: Uint8Array): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true));
}

/** Numbers of 130 bits as ten limbs of 13, so that no sum of products leaves the whole numbers a double can hold. */
const LIMBS = 10;
const BASE = 8192;

function poly1305(message: Uint8Array, key: Uint8Array): Buffer {
  const clamped = Buffer.alloc(17);
  clamped.set(key.subarray(0, 16));
  for (const i of [3, 7, 11, 15]) clamped[i] = (clamped[i] as number) & 15;
  for (const i of [4, 8, 12]) clamped[i] = (clamped[i] as number) & 252;
  const r = limbs(clamped, new Float64Array(LIMBS));
  const h = new Float64Array(LIMBS);
  const add = new Float64Array(LIMBS);
  const product = new Float64Array(LIMBS);
  const block = Buffer.alloc(17);
  for (let at = 0; at < message.length; at += 16) {
    const size = Math.min(16, message.length - at);
    block.fill(0);
    block.set(message.subarray(at, at + size));
    block[size] = 1;
    limbs(block, add);
    for (let i = 0; i < LIMBS; i++) h[i] = (h[i] as number) + (add[i] as number);
    multiply(h, r, product);
  }
  let sum = 0n;
  for (let i = LIMBS - 1; i >= 0; i--) sum = sum * BigInt(BASE) + BigInt(h[i] as number);
  sum %= (1n << 130n) - 5n;
  const pad = Buffer.from(key.subarray(16, 32));
  sum += pad.readBigUInt64LE(0) + (pad.readBigUInt64LE(8) << 64n);
  const tag = Buffer.alloc(TAG_BYTES);
  tag.writeBigUInt64LE(BigInt.asUintN(64, sum), 0);
  tag.writeBigUInt64LE(BigInt.asUintN(64, sum >> 64n), 8);
  return tag;
}

/** h = h * r modulo 2^130 - 5, not fully reduced. */
function multiply(h: Float64Array, r: Float64Array, product: Float64Array): void {
  let carry = 0;
  for (let i = 0; i < LIMBS; i++) {
    let sum = carry;
    for (let j = 0; j < LIMBS; j++) {
      sum += (h[j] as number) * (j <= i ? (r[i - j] as number) : 5 * (r[i + LIMBS - j] as number));
    }
    carry = Math.floor(sum / BASE);
    product[i] = sum - carry * BASE;
  }
  const first = (product[0] as number) + carry * 5;
  carry = Math.floor(first / BASE);
  product[0] = first - carry * BASE;
  product[1] = (product[1] as number) + carry;
  h.set(product);
}

/** 17 bytes, little endian. */
function limbs(bytes: Uint8Array, out: Float64Array): Float64Array {
  for (let i = 0; i < LIMBS; i++) {
    const at = (13 * i) >> 3;
    const three = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16);
    out[i] = (three >> ((13 * i) & 7)) & (BASE - 1);
  }
  return out;
}
