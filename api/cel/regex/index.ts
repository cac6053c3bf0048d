// Patterns as RE2 has them: matched in linear time, and refused where RE2 refuses them.
import { Matcher } from './match.ts';
import { parsePattern, PatternError } from './parse.ts';
import { compileProgram } from './program.ts';

export { PatternTooSlow } from './match.ts';
export type Pattern = Matcher;
export type CompiledPattern = Matcher | { problem: string };

/** Patterns by text: rules use the same few again and again. */
const known = new Map<string, CompiledPattern>();
const KNOWN_LIMIT = 500;

/** `problem` in Go's words: `error parsing regexp: missing closing ): \`(a\``. */
export function compilePattern(pattern: string): CompiledPattern {
  const found = known.get(pattern);
  if (found) return found;
  let compiled: CompiledPattern;
  try {
    compiled = new Matcher(compileProgram(parsePattern(pattern)));
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    compiled = { problem: error.message };
  }
  if (known.size >= KNOWN_LIMIT) known.clear();
  known.set(pattern, compiled);
  return compiled;
}
