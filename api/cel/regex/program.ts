// The tree as a program for a set of threads that advance together (Thompson's construction), so that matching takes time
// proportional to text length times program length, whatever the pattern.
import { type Node, PatternError } from './parse.ts';
import type { Ranges } from './ranges.ts';

export type Instruction =
  | { op: 'set'; ranges: Ranges }
  | { op: 'assert'; what: (Node & { kind: 'assert' })['what'] }
  /** Threads at `first` go before those at `second`. */
  | { op: 'split'; first: number; second: number }
  | { op: 'jump'; to: number }
  | { op: 'match' };

/** Instructions that any sane pattern has; counts of counts multiply. */
const MAX_INSTRUCTIONS = 50_000;

export function compileProgram(root: Node): Instruction[] {
  const program: Instruction[] = [];
  const push = (instruction: Instruction): number => {
    if (program.length >= MAX_INSTRUCTIONS) throw new PatternError('error parsing regexp: expression too large');
    return program.push(instruction) - 1;
  };
  const emit = (node: Node): void => {
    switch (node.kind) {
      case 'empty':
        return;
      case 'set':
        push({ op: 'set', ranges: node.ranges });
        return;
      case 'assert':
        push({ op: 'assert', what: node.what });
        return;
      case 'concat':
        for (const part of node.parts) emit(part);
        return;
      case 'alternate':
        emitAlternatives(node.options);
        return;
      case 'repeat':
        emitRepeat(node);
    }
  };
  const emitAlternatives = (options: readonly Node[]): void => {
    const ends: number[] = [];
    options.forEach((option, index) => {
      if (index === options.length - 1) {
        emit(option);
        return;
      }
      const split = push({ op: 'split', first: 0, second: 0 });
      emit(option);
      ends.push(push({ op: 'jump', to: 0 }));
      program[split] = { op: 'split', first: split + 1, second: program.length };
    });
    for (const end of ends) program[end] = { op: 'jump', to: program.length };
  };
  const branch = (inside: number, outside: number, isLazy: boolean): Instruction =>
    isLazy ? { op: 'split', first: outside, second: inside } : { op: 'split', first: inside, second: outside };
  const emitRepeat = ({ of, min, max, isLazy }: Node & { kind: 'repeat' }): void => {
    for (let count = 0; count < min; count++) emit(of);
    if (max === Number.POSITIVE_INFINITY) {
      const split = push({ op: 'jump', to: 0 });
      emit(of);
      push({ op: 'jump', to: split });
      program[split] = branch(split + 1, program.length, isLazy);
      return;
    }
    const splits: number[] = [];
    for (let count = min; count < max; count++) {
      splits.push(push({ op: 'jump', to: 0 }));
      emit(of);
    }
    for (const split of splits) program[split] = branch(split + 1, program.length, isLazy);
  };
  emit(root);
  push({ op: 'match' });
  return program;
}
