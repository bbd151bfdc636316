import { defineConfig } from 'mocajs'
import { office } from './jobs.ts'

export default defineConfig({ namespace: 'schedules', apps: [office] })
