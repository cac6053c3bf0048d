// Ends the run with one plain line, `N passed, N failed, N skipped`, and names every skipped test: a skip has to be seen.
import type { Reporter, TestModule } from 'vitest/node';

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const count = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    for (const module of modules) {
      if (module.errors().length > 0) count.failed++;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed' || state === 'failed') count[state]++;
        else {
          count.skipped++;
          console.log(`skipped: ${test.fullName}`);
        }
      }
    }
    // CI has everything that a test may ask for: a skip there is a test that was lost.
    if (process.env['CI'] && count.skipped > 0) process.exitCode = 1;
    console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  }
}
