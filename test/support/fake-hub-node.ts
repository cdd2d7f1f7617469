// A hub on this machine that has one file in one repository, and answers as huggingface.co does.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeHub {
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly asked: string[];
  /** May be changed at any time. `gated`: what the listing says. `refuses`: the status that files are answered with. */
  readonly answers: { gated: false | 'auto' | 'manual'; refuses: number | null };
  close(): Promise<void>;
}

const commit = 'c0ffee'.padEnd(40, '0');

export async function startFakeHub(repository: string, file: string, bytes: Uint8Array): Promise<FakeHub> {
  const asked: string[] = [];
  const answers: FakeHub['answers'] = { gated: false, refuses: null };
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    asked.push(pathname);
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Expose-Headers', 'ETag, Content-Range');
    if (pathname === `/api/models/${repository}/revision/main`) {
      const siblings = [{ rfilename: file, size: bytes.length, lfs: { sha256, size: bytes.length } }];
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ sha: commit, gated: answers.gated, siblings }));
    } else if (pathname !== `/${repository}/resolve/${commit}/${file}`) response.writeHead(404).end();
    else if (answers.refuses !== null) response.writeHead(answers.refuses).end();
    else {
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      if (first === undefined) response.end(bytes);
      else {
        const part = bytes.subarray(Number(first), Number(last) + 1);
        const range = `bytes ${first}-${Number(first) + part.length - 1}/${bytes.length}`;
        response.writeHead(206, { 'Content-Range': range, ETag: `"${sha256}"` }).end(part);
      }
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    answers,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
