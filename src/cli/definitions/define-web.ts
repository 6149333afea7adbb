/**
 * Definition of the command that serves the page.
 */
import type { Command } from 'commander'
import { type Ended, parsePort, value } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'
import { chosenMount, type OnMount, onMount } from './mount-choice.ts'

export function defineWeb(program: Command, ended: Ended): void {
  const web = program.command('web').copyInheritedSettings(program)
  onMount(web)
    .description('Serve the page of a mount on 127.0.0.1 and print a link that is good once. Ctrl-C ends it.')
    .option('--port <port>', 'port of 127.0.0.1 (default: one that is free)', value(parsePort))
    .option('--allow-actions', 'the page may promote, pin and evict images, and not only look')
    .action(async (mountpoint: string | undefined, options: OnMount & { port?: number; allowActions?: boolean }) => {
      const module = await import('../commands/web.ts')
      const { port = null, allowActions = false } = options
      ended(await module.web({ path: chosenMount(web, mountpoint, options), port, allowActions }))
    })
  addExamples(web, 'parentfs web', 'parentfs web -m /srv/parents --port 8080 --allow-actions')
}
