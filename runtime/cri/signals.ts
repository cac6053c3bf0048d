// Signal names of CRI and of image configs, as numbers on Linux.
import { constants } from 'node:os';
import type { Signal } from '../../proto/cri-types.ts';

const minimum = 34;
const maximum = 64;

/** `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`, `SIGRTMINPLUS3` → the number; undefined for what is no signal. */
export function signalNumber(text: string): number | undefined {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= maximum ? number : undefined;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const realtime = /^RT(MIN|MAX)(?:(?:\+|PLUS|-|MINUS)(\d+))?$/.exec(name);
  if (realtime) {
    const offset = Number(realtime[2] ?? 0);
    const number = realtime[1] === 'MIN' ? minimum + offset : maximum - offset;
    return number >= minimum && number <= maximum ? number : undefined;
  }
  const aliases: Record<string, number> = { CLD: 17, IOT: 6, POLL: 29 };
  const known = constants.signals as Record<string, number>;
  return known[`SIG${name}`] ?? aliases[name];
}

/** CRI's name for a signal given in any form. */
export function signalName(text: string): Signal | undefined {
  const number = signalNumber(text);
  if (number === undefined) return undefined;
  if (number >= minimum) {
    const offset = number - minimum;
    if (number === maximum) return 'SIGRTMAX';
    if (offset === 0) return 'SIGRTMIN';
    return (offset <= 15 ? `SIGRTMINPLUS${offset}` : `SIGRTMAXMINUS${maximum - number}`) as Signal;
  }
  const known = constants.signals as Record<string, number>;
  return Object.keys(known).find((name) => known[name] === number) as Signal | undefined;
}
