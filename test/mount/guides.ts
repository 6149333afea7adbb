/**
 * The guides: the commands of each page are taken out of it and run as they stand there, in a mount namespace whose
 * /srv, /var/cache and /run are its own.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, command, place } from '../fixtures/daemon.ts'
import { start } from '../fixtures/run.ts'

const guides = readdirSync('docs/guides').filter(name => name !== 'README.md')
const guideMsMax = 120_000

/** The blocks of a page that a shell runs. */
function commandsOf(page: string): string[] {
  return [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block!)
}

t.test('every guide is in the index, which names the test', async t => {
  const index = readFileSync('docs/guides/README.md', 'utf8')
  for (const name of guides) t.match(index, new RegExp(`\\(${name}\\) \\| run by \`test/mount/guides.ts\``))
  t.same(commandsOf('a\n```sh\none\ntwo\n```\n```\nnot this\n```\n'), ['one\ntwo\n'])
})

for (const name of guides) {
  t.test(`the commands of ${name} do what the page says`, { skip: cannotMount }, async t => {
    const { top } = place(t)
    const bin = join(top, 'bin')
    for (const directory of ['srv', 'var', 'run', 'bin']) mkdirSync(join(top, directory))
    writeFileSync(join(bin, 'parentfs'), `#!/bin/sh\nexec ${command.map(word => `'${word}'`).join(' ')} "$@"\n`)
    chmodSync(join(bin, 'parentfs'), 0o755)
    const blocks = commandsOf(readFileSync(join('docs/guides', name), 'utf8'))
    t.ok(blocks.length >= 3, `${blocks.length} blocks`)
    const own = [
      `mount --bind ${top}/srv /srv`,
      `mount --bind ${top}/var /var/cache`,
      `mount --bind ${top}/run /run`,
      `export PATH=${bin}:$PATH`,
      'set -eu',
    ]
    const script = join(top, 'guide.sh')
    const numbered = blocks.map((block, k) => `${block}echo "block ${k + 1} is done"\n`)
    writeFileSync(script, `${own.join('\n')}\n${numbered.join('')}`)
    const words = [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--propagation',
      'private',
      'sh',
      script,
    ]
    const { child, ended } = start('unshare', words, { msMax: guideMsMax })
    t.teardown(() => {
      child.kill('SIGKILL')
      return ended
    })
    const { code, stdout, stderr } = await ended
    const done = [...stdout.toString().matchAll(/^block (\d+) is done$/gm)].map(([, number]) => Number(number))
    t.same(
      { code, done },
      { code: 0, done: blocks.map((_, k) => k + 1) },
      `${stdout.toString().slice(-2000)}\n${stderr.slice(-2000)}`,
    )
  })
}
