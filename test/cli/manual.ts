/** The manual pages: they say of the program what there is, and nothing else. */
import { readdirSync, readFileSync } from 'node:fs'
import type { Command } from 'commander'
import t from 'tap'
import { createProgram } from '../../src/cli/command-program.ts'
import { helperOptionNames } from '../../src/cli/commands/mount-helper.ts'
import { exitCodes } from '../../src/cli/output/exit-codes.ts'
import { allSettings } from '../../src/daemon/config/settings-list.ts'
import { settingsPlaceholder, withSettings } from '../../src/daemon/config/settings-manual.ts'
import { attempt } from '../fixtures/run.ts'

const program = createProgram({ ended: () => {}, writeError: () => {} })
const read = (name: string) => readFileSync(`docs/man/${name}.scd`, 'utf8')

/** Every command that help shows, by its words, with its flags. */
function commandsOf(command: Command, words: readonly string[] = []): [string, string[]][] {
  const help = command.createHelp()
  return help.visibleCommands(command).flatMap(each => {
    if (each.name() === 'help') return []
    const name = [...words, each.name()]
    const below = commandsOf(each, name)
    const flags = help
      .visibleOptions(each)
      .flatMap(({ short, long }) => [short, long].filter(flag => flag !== undefined))
    const own: [string, string[]] = [name.join(' '), flags.filter(flag => !['-h', '--help'].includes(flag))]
    // One that takes a mountpoint does something by itself, too.
    return below.length === 0 || each.registeredArguments.length > 0 ? [own, ...below] : below
  })
}

/** The flags that stand in bold at the beginning of lines. */
function flagsIn(text: string): string[] {
  return text
    .split('\n')
    .filter(line => line.startsWith('*-'))
    .flatMap(line => [...line.matchAll(/\*(-[^*]+)\*/g)].map(match => match[1]!))
}

/** Sections of the page by the command in their headings: a command may have several headings. */
function sectionsOf(page: string): Map<string, string> {
  const sections = new Map<string, string>()
  for (const section of page.split(/^## /m).slice(1)) {
    const heading = section.split('\n')[0]!
    const name = heading.split(/ (?=[[A-Z])/)[0]!
    sections.set(name, (sections.get(name) ?? '') + section.split(/^# /m)[0])
  }
  return sections
}

t.test('every command and option is in parentfs(1), and the other way round', async t => {
  const page = read('parentfs.1')
  const sections = sectionsOf(page)
  const commands = commandsOf(program)
  t.same([...sections.keys()].sort(), commands.map(([name]) => name).sort())
  for (const [name, flags] of commands) t.same(flagsIn(sections.get(name) ?? '').sort(), flags.sort(), name)
  t.same(flagsIn(page.split('# COMMANDS')[0]!).sort(), ['--help', '--version', '-V', '-h'])
})

t.test('the exit codes are those of the program, in the page and in --help', async t => {
  const table = read('parentfs.1').split('# EXIT CODES')[1]!.split(/^# /m)[0]!
  t.same(
    [...table.matchAll(/^\*(\d+)\*$/gm)].map(match => Number(match[1])),
    exitCodes.map(([code]) => code),
  )
  let help = ''
  program.configureOutput({ writeOut: text => (help += text) }).outputHelp()
  for (const [code, means] of exitCodes) t.match(help, new RegExp(`^ +${code} +${means}$`, 'm'))
})

t.test('every option of a line of fstab is in mount.parentfs(8), and the other way round', async t => {
  const options = read('mount.parentfs.8').split('# MOUNT OPTIONS')[1]!.split(/^# /m)[0]!
  const names = [...options.matchAll(/^\*([a-z_]+)=?\*/gm)].map(match => match[1])
  t.same(names.sort(), [...helperOptionNames].sort())
})

t.test('the page of the configuration file has every setting', async t => {
  const page = withSettings(read('parentfs.yaml.5'))
  t.notMatch(page, settingsPlaceholder)
  const keys = [...page.matchAll(/^\*([\w.]+)\*$/gm)].map(match => match[1])
  t.same(
    keys.filter(key => key?.includes('.') || allSettings().some(setting => setting.key === key)),
    allSettings().map(({ key }) => key),
  )
})

t.test('every page can be made', async t => {
  const pages = readdirSync('docs/man')
  t.ok(pages.length >= 3)
  for (const page of pages) {
    const text = withSettings(readFileSync(`docs/man/${page}`, 'utf8'))
    const made = await attempt('sh', '-c', `printf '%s' "$1" | scdoc`, 'sh', text)
    if (made.code === 127) return t.pass('the pages', { skip: 'scdoc is not installed' })
    t.match(made, { code: 0, stderr: '' }, page)
    t.match(made.stdout.toString(), /^\.TH "/m)
  }
})
