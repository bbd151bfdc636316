import { defineConfig } from 'mocajs'
import { shop } from './app.ts'

export default defineConfig({ namespace: 'shop', apps: [shop] })
