//! A picture as SVG: ECharts within QuickJS, a small engine for JavaScript, with nothing of the machine in its reach.

use rquickjs::{CatchResultExt, Context, Ctx, Function, Runtime};

use super::{CHARTS, ECHARTS, Picture, PlotError};
use crate::escape;

/// More than ECharts needs, less than a thread of a pool has.
const STACK_BYTES: usize = 1 << 20;
/// ECharts asks for timers when it is loaded, and for none that matters where nothing moves.
const WITHOUT_TIMERS: &str = "globalThis.setTimeout = () => 0; globalThis.clearTimeout = () => {};";
/// Scripts end at their own braces, so their names are made known to each other.
const DRAW: &str = "(description) => charts.svg(JSON.parse(description))";

thread_local! {
    /// Loading takes as long as drawing a few pictures, so each thread does it once.
    static PAINTER: Result<Painter, PlotError> = Painter::new();
}

/// The picture on white paper.
///
/// # Errors
/// [`PlotError::Drawing`] if the script fails, which is a fault of this program.
pub fn svg(picture: &Picture) -> Result<String, PlotError> {
    let drawn = PAINTER.with(|painter| painter.as_ref().map_err(Clone::clone)?.draw(picture))?;
    Ok(titled(&drawn, picture))
}

/// An engine with ECharts loaded.
struct Painter {
    context: Context,
}

impl Painter {
    fn new() -> Result<Self, PlotError> {
        let runtime = Runtime::new().map_err(failed)?;
        runtime.set_max_stack_size(STACK_BYTES);
        let context = Context::full(&runtime).map_err(failed)?;
        let all = [WITHOUT_TIMERS, ECHARTS, CHARTS].join("\n");
        context.with(|ctx| ctx.eval::<(), _>(all).catch(&ctx).map_err(failed))?;
        Ok(Self { context })
    }

    fn draw(&self, picture: &Picture) -> Result<String, PlotError> {
        let description = picture.description().to_string();
        let draw = |ctx: Ctx| -> Result<String, PlotError> {
            let draw: Function = ctx.eval(DRAW).catch(&ctx).map_err(failed)?;
            draw.call((description,)).catch(&ctx).map_err(failed)
        };
        self.context.with(draw)
    }
}

/// With its title for readers of screens.
fn titled(drawn: &str, picture: &Picture) -> String {
    let title = format!("<title>{}</title>", escape::xml(picture.title()));
    let drawn = drawn.replacen("<svg ", "<svg role=\"img\" ", 1);
    drawn.replacen(">\n", &format!(">\n{title}\n"), 1)
}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError::Drawing(error.to_string())
}
