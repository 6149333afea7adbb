/**
 * Entry point of the supervisor under its earlier path: a mount of an earlier version starts its successor by it.
 */
import './supervisor/supervisor-main.ts'
