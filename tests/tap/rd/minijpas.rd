<resource schema="minijpas" resdir="minijpas">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">Loopback tables in the shape of miniJPAS's</meta>
  <meta name="description">Made-up objects in the columns of the miniJPAS dual-mode tables, served
    only for tests.</meta>
  <meta name="subject">surveys</meta>
  <meta name="creator">jpassed test suite</meta>
  <meta name="contentLevel">Research</meta>
  <meta name="type">Catalog</meta>
  <meta name="coverage.waveband">Optical</meta>

  <STREAM id="key">
    <column name="tile_id" type="integer" ucd="meta.id;obs.image" required="True"
      description="Identifier of the tile"/>
    <column name="number" type="integer" ucd="meta.id" required="True"
      description="Number of the object within its tile"/>
  </STREAM>
  <STREAM id="dual">
    <FEED source="key"/>
    <column name="alpha_j2000" type="double precision" unit="deg" ucd="pos.eq.ra;meta.main"
      required="True" description="Right ascension, ICRS"/>
    <column name="delta_j2000" type="double precision" unit="deg" ucd="pos.eq.dec;meta.main"
      required="True" description="Declination, ICRS"/>
    <column name="flags" type="smallint[60]" ucd="meta.code.qual"
      description="SExtractor flags in each band"/>
    <column name="mask_flags" type="smallint[60]" ucd="meta.code.qual"
      description="Mask flags in each band"/>
    <column name="class_star" type="real" ucd="src.class.starGalaxy"
      description="Star (1) or galaxy (0), from the shape"/>
  </STREAM>

  <table id="magabdualobj" onDisk="True" adql="True" primary="tile_id,number"
      mixin="//scs#q3cindex">
    <meta name="description">AB magnitudes of dual-mode objects in 60 bands; 99 stands for a flux
      that is not positive.</meta>
    <FEED source="dual"/>
    <column name="mag_auto" type="real[60]" unit="mag" ucd="phot.mag;em.opt"
      description="AB magnitude in each band of minijpas.filter"/>
    <column name="mag_err_auto" type="real[60]" unit="mag" ucd="stat.error;phot.mag;em.opt"
      description="1-sigma error of mag_auto"/>
  </table>

  <table id="flambdadualobj" onDisk="True" adql="True" primary="tile_id,number"
      mixin="//scs#q3cindex">
    <meta name="description">Fluxes of dual-mode objects in 60 bands.</meta>
    <FEED source="dual"/>
    <column name="flux_auto" type="real[60]" unit="10**-19erg.s**-1.cm**-2.Angstrom**-1"
      ucd="phot.flux.density;em.opt" description="Flux in each band of minijpas.filter"/>
    <column name="flux_relerr_auto" type="real[60]" ucd="stat.error;phot.flux.density;em.opt"
      description="1-sigma error of flux_auto over flux_auto"/>
  </table>

  <table id="photozlephare" onDisk="True" adql="True" primary="tile_id,number">
    <meta name="description">Photometric redshifts; NULL where the fit failed.</meta>
    <FEED source="key"/>
    <column name="photoz" type="real" ucd="src.redshift.phot" description="Photometric redshift"/>
    <column name="photoz_err" type="real" ucd="stat.error;src.redshift.phot"
      description="1-sigma error of photoz"/>
    <column name="odds" type="real" ucd="stat.probability" description="Odds of photoz"/>
  </table>

  <table id="xmatch_sdss_dr12" onDisk="True" adql="True" primary="tile_id,number">
    <meta name="description">Counterparts with an SDSS spectrum.</meta>
    <FEED source="key"/>
    <column name="zsp" type="real" ucd="src.redshift;meta.main"
      description="Spectroscopic redshift"/>
    <column name="e_zsp" type="real" ucd="stat.error;src.redshift"
      description="1-sigma error of zsp"/>
    <column name="spcl" type="text" ucd="src.class" description="Class by the spectrum"/>
  </table>

  <table id="mwextinction" onDisk="True" adql="True" primary="tile_id,number">
    <meta name="description">Extinction by the Milky Way.</meta>
    <FEED source="key"/>
    <column name="ebv" type="real" unit="mag" ucd="phot.color.excess" description="E(B-V)"/>
    <column name="ax" type="real[60]" unit="mag" ucd="phys.absorption;em.opt"
      description="Extinction in each band of minijpas.filter"/>
  </table>

  <table id="filter" onDisk="True" adql="True" primary="filter_id">
    <meta name="description">The bands, in the order of the array columns.</meta>
    <column name="filter_id" type="integer" ucd="meta.id;instr.filter" required="True"
      description="Place in the array columns, from 1"/>
    <column name="name" type="text" ucd="meta.id;instr.bandpass" description="Name"/>
    <column name="wavelength" type="real" unit="Angstrom" ucd="em.wl.central;instr.bandpass"
      description="Central wavelength"/>
    <column name="width" type="real" unit="Angstrom" ucd="instr.bandwidth" description="Width"/>
  </table>

  <STREAM id="rows">
    <make table="\table">
      <script type="preIndex" lang="python" name="fill the table" notify="False">
        import make_minijpas
        make_minijpas.fill(table)
      </script>
    </make>
  </STREAM>
  <data id="import">
    <FEED source="rows" table="magabdualobj"/>
    <FEED source="rows" table="flambdadualobj"/>
    <FEED source="rows" table="photozlephare"/>
    <FEED source="rows" table="xmatch_sdss_dr12"/>
    <FEED source="rows" table="mwextinction"/>
    <FEED source="rows" table="filter"/>
  </data>
</resource>
