<resource schema="bulk" resdir="bulk">
  <meta name="creationDate">2026-01-01T00:00:00Z</meta>
  <meta name="title">Loopback bulk catalogue</meta>
  <meta name="description">100,000 made-up galaxies with 60 bands, more rows than the server
    gives in one answer; served only for tests.</meta>
  <meta name="subject">surveys</meta>
  <meta name="creator">jpassed test suite</meta>
  <meta name="contentLevel">Research</meta>
  <meta name="type">Catalog</meta>
  <meta name="coverage.waveband">Optical</meta>

  <table id="galaxies" onDisk="True" adql="True" primary="object_id" mixin="//scs#q3cindex">
    <column name="object_id" type="bigint" ucd="meta.id;meta.main" required="True"
      description="Unique identifier"/>
    <column name="ra" type="double precision" unit="deg" ucd="pos.eq.ra;meta.main"
      required="True" description="Right ascension, ICRS"/>
    <column name="dec" type="double precision" unit="deg" ucd="pos.eq.dec;meta.main"
      required="True" description="Declination, ICRS"/>
    <column name="flux_auto" type="real[60]" unit="10**-19erg.s**-1.cm**-2.Angstrom**-1"
      ucd="phot.flux.density;em.opt" description="Flux in each band of minijpas.filter"/>
    <column name="flux_relerr_auto" type="real[60]" ucd="stat.error;phot.flux.density;em.opt"
      description="1-sigma error of flux_auto over flux_auto"/>
    <column name="z_spec" type="real" ucd="src.redshift"
      description="Spectroscopic redshift; NULL where none was measured"/>
  </table>

  <data id="import">
    <make table="galaxies">
      <script type="preIndex" lang="python" name="fill the table" notify="False">
        import make_bulk
        make_bulk.fill(table)
      </script>
    </make>
  </data>
</resource>
