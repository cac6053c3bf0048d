// Runs nft(8) with a transaction on its standard input.
import { spawn } from 'node:child_process';

/** Rejects with nft's own message when the transaction is refused; nothing of it is then in force. */
export function spawnNft(transaction: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('nft', ['-f', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => {
      if (complaint.length < 4096) complaint += chunk.toString();
    });
    child.on('error', (error) =>
      reject(new Error(`cannot run nft (package nftables): ${error.message}`, { cause: error })),
    );
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`nft refused the transaction: ${complaint.trim() || `exit code ${code}`}`));
    });
    child.stdin.on('error', () => {});
    child.stdin.end(transaction);
  });
}
