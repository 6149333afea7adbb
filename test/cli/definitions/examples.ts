/** The help of every command: examples that the parser takes, defaults that are the configuration's, and one shape. */
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import t from 'tap'
import { createProgram } from '../../../src/cli/command-program.ts'
import { examplesOf } from '../../../src/cli/definitions/examples.ts'
import { allSettings } from '../../../src/daemon/config/settings-list.ts'

/** Every command that does something, and is shown. */
function leavesOf(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter(each => each.name() !== 'help')
    .flatMap(each => (each.commands.length > 0 ? leavesOf(each) : [each]))
}

/** A program whose commands do nothing but say that they were called. */
function deaf(called: (command: string) => void): Command {
  const program = createProgram({ ended: () => {}, writeError: () => {} })
  for (const leaf of leavesOf(program)) leaf.action(() => called(wordsOf(leaf)))
  return program
}

function wordsOf(command: Command): string {
  const words: string[] = []
  for (let at: Command | null = command; at?.parent; at = at.parent) words.unshift(at.name())
  return words.join(' ')
}

t.test('every command has examples in its help, and the parser takes each of them', async t => {
  const leaves = leavesOf(deaf(() => {}))
  t.ok(leaves.length > 15, `${leaves.length} commands`)
  for (const leaf of leaves) {
    const examples = examplesOf(leaf)
    t.ok(examples.length > 0, wordsOf(leaf))
    for (const example of examples) {
      // What the shell takes for itself is no argument.
      const [name, ...words] = example.split(' > ')[0]!.split(' ')
      t.equal(name, 'parentfs')
      const calls: string[] = []
      await deaf(command => calls.push(command)).parseAsync(words, { from: 'user' })
      t.same(calls, [wordsOf(leaf)], example)
    }
  }
  await t.rejects(deaf(() => {}).parseAsync(['mount', '--nonsense', 'x', 'y'], { from: 'user' }), /unknown option/)
})

t.test('every command about a running mount takes -m, and those about an image take the image first', async t => {
  const elsewhere = ['doctor', 'init', 'mount', 'check-config', 'profile check', 'profile record', 'seal', 'completion']
  for (const leaf of leavesOf(deaf(() => {}))) {
    const name = wordsOf(leaf)
    const takesMount = leaf.options.some(({ short, long }) => short === '-m' && long === '--mountpoint')
    t.equal(takesMount, !elsewhere.includes(name), name)
    const names = leaf.registeredArguments.map(argument => argument.name())
    if (takesMount && names.includes('image') && name !== 'mode') t.equal(names.indexOf('image'), 0, name)
  }
})

t.test('the defaults in help and in the manual are those of the configuration', async t => {
  const settings = new Map(allSettings().map(({ key, fallback }) => [key, fallback]))
  const manual = readFileSync('docs/man/parentfs.1.scd', 'utf8')
  const mount = leavesOf(deaf(() => {})).find(leaf => leaf.name() === 'mount')
  const flags = {
    '--capacity': 'cache.capacity',
    '--block-size': 'cache.blockSize',
    '--read-ahead': 'cache.readAhead',
    '--revalidate': 'origin.revalidate',
    '--log-level': 'log.level',
    '--transport': 'transport',
  }
  for (const [flag, key] of Object.entries(flags)) {
    const fallback = settings.get(key)
    t.ok(fallback, key)
    const help = mount?.options.find(({ long }) => long === flag)?.description
    t.match(help, `(default: ${fallback})`, flag)
    const page = manual.split(`*${flag}* `)[1]?.split('\n\n')[0]
    if (page?.includes('By default'))
      t.match(page, new RegExp(`By default _?${fallback}_?\\.`), `${flag} in the manual`)
  }
})
