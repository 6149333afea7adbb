/**
 * Entry point of the worker under the path that supervisors of earlier versions start at an upgrade in place.
 */
import './worker/worker-main.ts'
