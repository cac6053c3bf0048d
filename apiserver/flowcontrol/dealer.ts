// Shuffle sharding: every flow is dealt a hand of queues by its hash, so that a flow that floods fills its own few queues, and
// most other flows have at least one queue that it does not touch. Pure.
import { createHash } from 'node:crypto';

/** Flows whose hands are remembered; beyond it all are dealt again. */
const REMEMBERED = 8192;

export class Dealer {
  readonly queues: number;
  readonly handSize: number;
  #hands = new Map<string, readonly number[]>();

  /** `handSize` of `queues` different numbers. */
  constructor(queues: number, handSize: number) {
    this.queues = queues;
    this.handSize = Math.min(handSize, queues);
  }

  /** The queues of a flow; always the same for the same text. */
  hand(flow: string): readonly number[] {
    let hand = this.#hands.get(flow);
    if (!hand) {
      hand = deal(hashOf(flow), this.queues, this.handSize);
      if (this.#hands.size >= REMEMBERED) this.#hands.clear();
      this.#hands.set(flow, hand);
    }
    return hand;
  }
}

const hashOf = (flow: string) => createHash('sha256').update(flow).digest().readBigUInt64LE(0);

/** Each card is drawn from what is left of the deck by one digit of the hash in a mixed radix. */
export function deal(hash: bigint, deckSize: number, handSize: number): number[] {
  const drawn: number[] = [];
  let rest = hash;
  for (let i = 0; i < handSize; i++) {
    const left = BigInt(deckSize - i);
    let card = Number(rest % left);
    rest /= left;
    // The card's place among all, given those that are gone.
    for (const gone of [...drawn].sort((a, b) => a - b)) if (card >= gone) card++;
    drawn.push(card);
  }
  return drawn;
}
