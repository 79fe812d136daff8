import { mount } from "svelte";
import App from "./App.svelte";
import { server } from "./live/server.svelte";
import "./theme.css";

void server.start();
const target = document.getElementById("app");
if (target) mount(App, { target });
