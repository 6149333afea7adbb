/**
 * Definitions of the commands about completion in shells.
 */
import { Argument, type Command } from 'commander'
import type { Ended } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'

export function defineCompletion(program: Command, ended: Ended): void {
  const completion = program
    .command('completion')
    .copyInheritedSettings(program)
    .description('Print the completion script of a shell; it says in its first lines how to load it.')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScripts } = await import('../output/completion-scripts.ts')
      process.stdout.write(completionScripts[shell])
      ended(0)
    })
  addExamples(completion, 'parentfs completion bash')
  program
    .command('complete', { hidden: true })
    .copyInheritedSettings(program)
    .argument('[words...]')
    .action(async (words: readonly string[]) => {
      const { complete, liveNames } = await import('../commands/complete.ts')
      const candidates = await complete(program, words, liveNames)
      // At once: the shell waits for our end, and a daemon that hangs would hold us.
      process.stdout.write(candidates.map(candidate => `${candidate}\n`).join(''), () => process.exit(0))
    })
}
